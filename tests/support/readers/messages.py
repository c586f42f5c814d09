"""The messages of pprof and of OTLP profiles, as Google's Protobuf library reads them."""

from __future__ import annotations

import gzip
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from opentelemetry.proto.profiles.v1development.profiles_pb2 import ProfilesData

# https://github.com/google/pprof/blob/main/proto/profile.proto: fields by number, repeated ones with a +.
_PPROF = {
    "Profile": (
        *("1 +ValueType sample_type", "2 +Sample sample", "3 +Mapping mapping", "4 +Location location"),
        *("5 +Function function", "6 +string string_table", "7 int64 drop_frames", "8 int64 keep_frames"),
        *("9 int64 time_nanos", "10 int64 duration_nanos", "11 ValueType period_type", "12 int64 period"),
        *("13 +int64 comment", "14 int64 default_sample_type", "15 int64 doc_url"),
    ),
    "ValueType": ("1 int64 type", "2 int64 unit"),
    "Sample": ("1 +uint64 location_id", "2 +int64 value", "3 +Label label"),
    "Label": ("1 int64 key", "2 int64 str", "3 int64 num", "4 int64 num_unit"),
    "Mapping": (
        *("1 uint64 id", "2 uint64 memory_start", "3 uint64 memory_limit", "4 uint64 file_offset"),
        *("5 int64 filename", "6 int64 build_id", "7 bool has_functions", "8 bool has_filenames"),
        *("9 bool has_line_numbers", "10 bool has_inline_frames"),
    ),
    "Location": (
        "1 uint64 id",
        "2 uint64 mapping_id",
        "3 uint64 address",
        "4 +Line line",
        "5 bool is_folded",
    ),
    "Line": ("1 uint64 function_id", "2 int64 line"),
    "Function": (
        "1 uint64 id",
        "2 int64 name",
        "3 int64 system_name",
        "4 int64 filename",
        "5 int64 start_line",
    ),
}
_PACKAGE = "perftools.profiles"


def _pprof_message() -> Any:
    types = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(name="profile.proto", package=_PACKAGE, syntax="proto3")
    for name, fields in _PPROF.items():
        message = file.message_type.add(name=name)
        for number, kind, field in map(str.split, fields):
            label = types.LABEL_REPEATED if kind.startswith("+") else types.LABEL_OPTIONAL
            kind = kind.removeprefix("+")
            entry = message.field.add(name=field, number=int(number), label=label)
            if kind in _PPROF:
                entry.type, entry.type_name = types.TYPE_MESSAGE, f".{_PACKAGE}.{kind}"
            else:
                entry.type = types.Type.Value(f"TYPE_{kind.upper()}")
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{_PACKAGE}.Profile"))


PprofProfile = _pprof_message()


def pprof_profile(contents: bytes) -> Any:
    """A pprof file's message. Raises google.protobuf.message.DecodeError."""
    return PprofProfile.FromString(gzip.decompress(contents))


def otlp_profiles(contents: bytes) -> ProfilesData:
    """An OTLP file's message. Raises google.protobuf.message.DecodeError."""
    return ProfilesData.FromString(contents)
