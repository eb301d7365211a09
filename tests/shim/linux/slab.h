/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Stand-in for the kernel's <linux/slab.h>: an allocator that counts and can fail. */
#ifndef SHIM_LINUX_SLAB_H
#define SHIM_LINUX_SLAB_H

#include <linux/types.h>
#include <shim.h>

typedef unsigned int gfp_t;

#define GFP_KERNEL 1u
#define GFP_KERNEL_ACCOUNT 1u
#define GFP_ATOMIC 2u
#define SLAB_ACCOUNT 0u

struct kmem_cache;

struct kmem_cache *kmem_cache_create(const char *name, unsigned int size, unsigned int align,
				     unsigned int flags, void (*ctor)(void *));
void kmem_cache_destroy(struct kmem_cache *cache);
void *kmem_cache_zalloc(struct kmem_cache *cache, gfp_t gfp);
void kmem_cache_free(struct kmem_cache *cache, void *obj);

static inline void *kzalloc(size_t size, gfp_t gfp)
{
	return shim_alloc(size, gfp == GFP_KERNEL);
}

static inline void *kvcalloc(size_t n, size_t size, gfp_t gfp)
{
	return shim_alloc(n * size, gfp == GFP_KERNEL);
}

static inline void kfree(const void *p)
{
	shim_free(p);
}

static inline void kvfree(const void *p)
{
	shim_free(p);
}

static inline void *kmemdup(const void *src, size_t size, gfp_t gfp)
{
	void *p = kzalloc(size, gfp);

	if (p)
		__builtin_memcpy(p, src, size);
	return p;
}

#endif
