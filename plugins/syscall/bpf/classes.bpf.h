/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * From the number of a system call to its class.
 */
#ifndef REZOLUS_SYSCALL_CLASSES_BPF_H
#define REZOLUS_SYSCALL_CLASSES_BPF_H

#include "kernel.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>

enum op {
	OP_OTHER, /* must be 0: what numbers without a class fall into */
	OP_READ,
	OP_WRITE,
	OP_POLL,
	OP_LOCK,
	OP_TIME,
	OP_SLEEP,
	OP_SOCKET,
	OP_YIELD,
	OP_FILESYSTEM,
	OP_MEMORY,
	OP_PROCESS,
	OP_QUERY,
	OP_IPC,
	OP_TIMER,
	OP_EVENT,
	OPS,
};
#define OP_MASK (OPS - 1)

#define NEVER_RETURNS 0x80 /* next to the op, in the same byte */

#define SYSCALL_NUMBERS 512

#if defined(__TARGET_ARCH_x86)
#define BOTH(name, x86, arm64, class) [x86] = (OP_##class),
#define X86(name, number, class)      [number] = (OP_##class),
#define ARM64(name, number, class)
#elif defined(__TARGET_ARCH_arm64)
#define BOTH(name, x86, arm64, class) [arm64] = (OP_##class),
#define X86(name, number, class)
#define ARM64(name, number, class) [number] = (OP_##class),
#else
#error "no table of system calls for this architecture"
#endif

static const u8 classes[SYSCALL_NUMBERS] = {
#include "syscalls.h"
};

#undef BOTH
#undef X86
#undef ARM64

/* arch/x86/include/asm/thread_info.h, arch/arm64/include/asm/thread_info.h */
#define TS_COMPAT     0x2
#define TIF_32BIT_BIT 22

/*
 * Whether the numbers are those of a 32-bit system: a 32-bit program, or
 * int 0x80 from a 64-bit one.
 */
static __always_inline bool is_compat(struct task_struct *task, bool btf)
{
#ifdef __TARGET_ARCH_x86
	u32 status = btf ? task->thread_info.status : BPF_CORE_READ(task, thread_info.status);

	return status & TS_COMPAT;
#else
	u64 flags = btf ? task->thread_info.flags : BPF_CORE_READ(task, thread_info.flags);

	return flags >> TIF_32BIT_BIT & 1;
#endif
}

/* An op and perhaps NEVER_RETURNS. x32's numbers are out of range: "other" as well. */
static __always_inline u8 class_of(struct task_struct *task, u64 nr, bool btf)
{
	if (nr >= SYSCALL_NUMBERS || is_compat(task, btf))
		return OP_OTHER;
	return classes[nr];
}

#endif
