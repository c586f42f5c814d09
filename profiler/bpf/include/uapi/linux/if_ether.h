/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/* Included by BCC by name; see linux/kconfig.h. */
