/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/* Linux 5.8, the oldest that the programs run on; BCC's headers ask for no more. */
#define KERNEL_VERSION(a, b, c) (((a) << 16) + ((b) << 8) + (c))
#define LINUX_VERSION_CODE KERNEL_VERSION(5, 8, 0)
