/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * All tracepoints: /sys/kernel/tracing/events/vellum. "vm" is the number at the end of the
 * machine's folder in /sys/kernel/debug/vellum; "gen" the generation of the memslots of the
 * address space; a role says levels, address space and whether it is a nested guest's.
 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM vellum

#if !defined(VLM_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define VLM_TRACE_H

#include <linux/tracepoint.h>

#include <asm/vmx.h>

#include "mmu/trace.h"

TRACE_DEFINE_ENUM(VLM_FAULT_FIXED);
TRACE_DEFINE_ENUM(VLM_FAULT_SPURIOUS);
TRACE_DEFINE_ENUM(VLM_FAULT_RETRY);
TRACE_DEFINE_ENUM(VLM_FAULT_EMULATE);
TRACE_DEFINE_ENUM(VLM_FAULT_ERROR);
TRACE_DEFINE_ENUM(VLM_ROOT_CREATED);
TRACE_DEFINE_ENUM(VLM_ROOT_TAKEN);
TRACE_DEFINE_ENUM(VLM_ROOT_PUT);
TRACE_DEFINE_ENUM(VLM_ROOT_INVALIDATED);
TRACE_DEFINE_ENUM(VLM_ROOT_FREED);

#define VLM_TRACE_RESULTS			\
	{ VLM_FAULT_FIXED, "fixed" },		\
	{ VLM_FAULT_SPURIOUS, "spurious" },	\
	{ VLM_FAULT_RETRY, "retry" },		\
	{ VLM_FAULT_EMULATE, "emulate" },	\
	{ VLM_FAULT_ERROR, "error" }
#define VLM_TRACE_ROOT_EVENTS			\
	{ VLM_ROOT_CREATED, "created" },	\
	{ VLM_ROOT_TAKEN, "taken" },		\
	{ VLM_ROOT_PUT, "put" },		\
	{ VLM_ROOT_INVALIDATED, "invalidated" },	\
	{ VLM_ROOT_FREED, "freed" }
#define VLM_TRACE_ACCESS			\
	{ VLM_ACCESS_READ, "read" },		\
	{ VLM_ACCESS_WRITE, "write" },		\
	{ VLM_ACCESS_EXEC, "exec" }

DECLARE_EVENT_CLASS(vlm_page,
	TP_PROTO(u32 vm, u64 gen, u64 gfn, u16 role, bool invalid),
	TP_ARGS(vm, gen, gfn, role, invalid),
	TP_STRUCT__entry(
		__field(u64, gen)
		__field(u64, gfn)
		__field(u32, vm)
		__field(u16, role)
		__field(bool, invalid)
	),
	TP_fast_assign(
		__entry->gen = gen;
		__entry->gfn = gfn;
		__entry->vm = vm;
		__entry->role = role;
		__entry->invalid = invalid;
	),
	TP_printk("vm=%u gen=%llu gfn=0x%llx level=%u as=%u nested=%u%s", __entry->vm,
		  __entry->gen, __entry->gfn, __entry->role & 0xf, __entry->role >> 4 & 1,
		  __entry->role >> 5 & 1, __entry->invalid ? " invalid" : "")
);

DEFINE_EVENT(vlm_page, vlm_page_create,
	TP_PROTO(u32 vm, u64 gen, u64 gfn, u16 role, bool invalid),
	TP_ARGS(vm, gen, gfn, role, invalid)
);

DEFINE_EVENT(vlm_page, vlm_page_zap,
	TP_PROTO(u32 vm, u64 gen, u64 gfn, u16 role, bool invalid),
	TP_ARGS(vm, gen, gfn, role, invalid)
);

DEFINE_EVENT(vlm_page, vlm_nx_recovery,
	TP_PROTO(u32 vm, u64 gen, u64 gfn, u16 role, bool invalid),
	TP_ARGS(vm, gen, gfn, role, invalid)
);

TRACE_EVENT(vlm_root,
	TP_PROTO(u32 vm, u64 gen, u64 pa, u16 role, bool invalid, u32 event, u32 refs),
	TP_ARGS(vm, gen, pa, role, invalid, event, refs),
	TP_STRUCT__entry(
		__field(u64, gen)
		__field(u64, pa)
		__field(u32, vm)
		__field(u32, event)
		__field(u32, refs)
		__field(u16, role)
		__field(bool, invalid)
	),
	TP_fast_assign(
		__entry->gen = gen;
		__entry->pa = pa;
		__entry->vm = vm;
		__entry->event = event;
		__entry->refs = refs;
		__entry->role = role;
		__entry->invalid = invalid;
	),
	TP_printk("vm=%u gen=%llu root=0x%llx %s refs=%u level=%u as=%u nested=%u%s",
		  __entry->vm, __entry->gen, __entry->pa,
		  __print_symbolic(__entry->event, VLM_TRACE_ROOT_EVENTS), __entry->refs,
		  __entry->role & 0xf, __entry->role >> 4 & 1, __entry->role >> 5 & 1,
		  __entry->invalid ? " invalid" : "")
);

TRACE_EVENT(vlm_zap_all_fast,
	TP_PROTO(u32 vm, u64 gen, u64 backlog),
	TP_ARGS(vm, gen, backlog),
	TP_STRUCT__entry(
		__field(u64, gen)
		__field(u64, backlog)
		__field(u32, vm)
	),
	TP_fast_assign(
		__entry->gen = gen;
		__entry->backlog = backlog;
		__entry->vm = vm;
	),
	TP_printk("vm=%u gen=%llu backlog=%llu", __entry->vm, __entry->gen, __entry->backlog)
);

TRACE_EVENT(vlm_fault,
	TP_PROTO(u32 vm, u32 vcpu, u64 gen, u16 role, u64 gpa, u32 access, u32 result),
	TP_ARGS(vm, vcpu, gen, role, gpa, access, result),
	TP_STRUCT__entry(
		__field(u64, gen)
		__field(u64, gpa)
		__field(u32, vm)
		__field(u32, vcpu)
		__field(u32, access)
		__field(u32, result)
		__field(u16, role)
	),
	TP_fast_assign(
		__entry->gen = gen;
		__entry->gpa = gpa;
		__entry->vm = vm;
		__entry->vcpu = vcpu;
		__entry->access = access;
		__entry->result = result;
		__entry->role = role;
	),
	TP_printk("vm=%u vcpu=%u gen=%llu gpa=0x%llx %s %s level=%u as=%u nested=%u", __entry->vm,
		  __entry->vcpu, __entry->gen, __entry->gpa,
		  __print_symbolic(__entry->access, VLM_TRACE_ACCESS),
		  __print_symbolic(__entry->result, VLM_TRACE_RESULTS), __entry->role & 0xf,
		  __entry->role >> 4 & 1, __entry->role >> 5 & 1)
);

TRACE_EVENT(vlm_slot_update,
	TP_PROTO(u32 vm, u64 gen, const struct vlm_memslot *slot, bool gone),
	TP_ARGS(vm, gen, slot, gone),
	TP_STRUCT__entry(
		__field(u64, gen)
		__field(u64, gfn)
		__field(u64, npages)
		__field(u32, vm)
		__field(u32, flags)
		__field(u16, id)
		__field(u8, as)
		__field(bool, gone)
	),
	TP_fast_assign(
		__entry->gen = gen;
		__entry->gfn = slot->base_gfn;
		__entry->npages = slot->npages;
		__entry->vm = vm;
		__entry->flags = slot->flags;
		__entry->id = slot->id;
		__entry->as = slot->as_id;
		__entry->gone = gone;
	),
	TP_printk("vm=%u gen=%llu as=%u slot=%u gfn=0x%llx pages=%llu flags=0x%x%s", __entry->vm,
		  __entry->gen, __entry->as, __entry->id, __entry->gfn, __entry->npages,
		  __entry->flags, __entry->gone ? " gone" : "")
);

TRACE_EVENT(vlm_entry,
	TP_PROTO(u32 vcpu, u64 rip),
	TP_ARGS(vcpu, rip),
	TP_STRUCT__entry(
		__field(u64, rip)
		__field(u32, vcpu)
	),
	TP_fast_assign(
		__entry->rip = rip;
		__entry->vcpu = vcpu;
	),
	TP_printk("vcpu=%u rip=0x%llx", __entry->vcpu, __entry->rip)
);

TRACE_EVENT(vlm_exit,
	TP_PROTO(u32 vcpu, u64 rip, u32 reason, u64 qualification, u64 gpa),
	TP_ARGS(vcpu, rip, reason, qualification, gpa),
	TP_STRUCT__entry(
		__field(u64, rip)
		__field(u64, qualification)
		__field(u64, gpa)
		__field(u32, vcpu)
		__field(u32, reason)
	),
	TP_fast_assign(
		__entry->rip = rip;
		__entry->qualification = qualification;
		__entry->gpa = gpa;
		__entry->vcpu = vcpu;
		__entry->reason = reason;
	),
	TP_printk("vcpu=%u rip=0x%llx %s qualification=0x%llx gpa=0x%llx", __entry->vcpu,
		  __entry->rip, __print_symbolic(__entry->reason, VMX_EXIT_REASONS),
		  __entry->qualification, __entry->gpa)
);

#endif

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH .
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE trace
#include <trace/define_trace.h>
