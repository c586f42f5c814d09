/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A program that embeds a shared libpython: prog script.py [arguments].
 *
 * With COPY_TYPES it names types of the library as data, and so gets copies of them (copy relocations):
 * objects then point at the program's type, not at the one in the library's symbol table.
 */
#include <Python.h>

#ifdef COPY_TYPES
PyTypeObject *volatile copied_types[] = { &PyCode_Type, &PyUnicode_Type, &PyBytes_Type };
static int uses_type(PyObject *object)
{
	return Py_TYPE(object) == &PyCode_Type || Py_TYPE(object) == &PyUnicode_Type ||
	       Py_TYPE(object) == &PyBytes_Type;
}
int (*volatile keep)(PyObject *) = uses_type;
#endif

int main(int argc, char **argv)
{
	return Py_BytesMain(argc, argv);
}
