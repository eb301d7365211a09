// SPDX-License-Identifier: GPL-2.0-or-later
/* What stands behind <linux/rbtree.h> and <linux/interval_tree.h>. */
#include <linux/interval_tree.h>
#include <linux/rbtree.h>

static u64 priority(const struct rb_node *node)
{
	return ((unsigned long)node >> 4) * 0x9e3779b97f4a7c15ull;
}

/* Put @with, or nothing, where @node hangs. */
static void relink(struct rb_root *root, struct rb_node *node, struct rb_node *with)
{
	struct rb_node *parent = node->parent;

	if (!parent)
		root->rb_node = with;
	else if (parent->rb_left == node)
		parent->rb_left = with;
	else
		parent->rb_right = with;
	if (with)
		with->parent = parent;
}

/* Swap @node with its parent; order stays. */
static void rotate_up(struct rb_root *root, struct rb_node *node)
{
	struct rb_node *parent = node->parent;
	struct rb_node *middle;

	relink(root, parent, node);
	if (parent->rb_left == node) {
		middle = node->rb_right;
		node->rb_right = parent;
		parent->rb_left = middle;
	} else {
		middle = node->rb_left;
		node->rb_left = parent;
		parent->rb_right = middle;
	}
	parent->parent = node;
	if (middle)
		middle->parent = parent;
}

void rb_insert_color(struct rb_node *node, struct rb_root *root)
{
	while (node->parent && priority(node) > priority(node->parent))
		rotate_up(root, node);
}

void rb_erase(struct rb_node *node, struct rb_root *root)
{
	while (node->rb_left && node->rb_right)
		rotate_up(root, priority(node->rb_left) > priority(node->rb_right) ? node->rb_left :
										     node->rb_right);
	relink(root, node, node->rb_left ? node->rb_left : node->rb_right);
}

struct rb_node *rb_first(const struct rb_root *root)
{
	struct rb_node *node = root->rb_node;

	while (node && node->rb_left)
		node = node->rb_left;
	return node;
}

struct rb_node *rb_next(const struct rb_node *node)
{
	struct rb_node *next = node->rb_right;

	if (next) {
		while (next->rb_left)
			next = next->rb_left;
		return next;
	}
	for (next = node->parent; next && next->rb_right == node; next = next->parent)
		node = next;
	return next;
}

struct rb_node *rb_prev(const struct rb_node *node)
{
	struct rb_node *prev = node->rb_left;

	if (prev) {
		while (prev->rb_right)
			prev = prev->rb_right;
		return prev;
	}
	for (prev = node->parent; prev && prev->rb_left == node; prev = prev->parent)
		node = prev;
	return prev;
}

void interval_tree_insert(struct interval_tree_node *node, struct rb_root_cached *root)
{
	struct rb_node **link = &root->rb_root.rb_node;
	struct rb_node *parent = NULL;

	while (*link) {
		parent = *link;
		if (node->start < container_of(parent, struct interval_tree_node, rb)->start)
			link = &parent->rb_left;
		else
			link = &parent->rb_right;
	}
	rb_link_node(&node->rb, parent, link);
	rb_insert_color(&node->rb, &root->rb_root);
}

void interval_tree_remove(struct interval_tree_node *node, struct rb_root_cached *root)
{
	rb_erase(&node->rb, &root->rb_root);
}

static struct interval_tree_node *search(struct rb_node *node, unsigned long start,
					 unsigned long last)
{
	for (; node; node = rb_next(node)) {
		struct interval_tree_node *range = container_of(node, struct interval_tree_node, rb);

		if (range->start > last)
			return NULL;
		if (range->last >= start)
			return range;
	}
	return NULL;
}

struct interval_tree_node *interval_tree_iter_first(struct rb_root_cached *root,
						    unsigned long start, unsigned long last)
{
	return search(rb_first(&root->rb_root), start, last);
}

struct interval_tree_node *interval_tree_iter_next(struct interval_tree_node *node,
						   unsigned long start, unsigned long last)
{
	return search(rb_next(&node->rb), start, last);
}
