/* What the Linux kernel's own linux/types.h gives to pst_contract.h; used to compile that header as a module would. */
#ifndef KERNEL_INCLUDE_LINUX_TYPES_H_
#define KERNEL_INCLUDE_LINUX_TYPES_H_
typedef unsigned long long u64;
typedef u64 uint64_t;
#endif
