/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* check_tree.c - lists, lookups and changes of a tree, on an image whose snapshots change. */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "util/err.h"
#include "image/image.h"
#include "open/open.h"
#include "io/io.h"
#include "base/log.h"
#include "tree/fill.h"
#include "tree/image-pool.h"
#include "tree/node.h"
#include "tree/tree.h"
#include "common/unit.h"
#include "view/view.h"

#define DISK_SIZE 65536

static unsigned char disk[DISK_SIZE];
static struct image_options options;
static struct image *img;
static struct log logger;
static struct image_pool *pool;
static struct tree *tree;

static void add_state(const char *name)
{
	struct err e = ERR_INIT;
	struct view *view = view_slice(img->states[0]->view, 0, DISK_SIZE, &e);

	ck_assert_ptr_nonnull(view);
	ck_assert_ptr_nonnull(image_add_state(img, name, name, view, &e));
}

static void delete_last_state(void)
{
	state_remove(img, img->nstates - 1);
}

static void set_up(void)
{
	struct err e = ERR_INIT;
	struct io *io = io_from_memory(disk, DISK_SIZE, "disk", &e);

	options = options_new();
	options.format = "raw";
	log_init(&logger);
	ck_assert_ok(image_open_io(io, &options, &img, &e), &e);
	add_state("a");
	add_state("b");
	pool = image_pool_new(&options, NULL, 0, &e);
	ck_assert_ptr_nonnull(pool);
	tree = tree_new(pooled_image_of(pool, img, &e), fill, &logger, &e);
	ck_assert_ptr_nonnull(tree);
}

static void tear_down(void)
{
	tree_free(tree);
	image_pool_free(pool);
	options_free(&options);
}

/* Returns a node without a reference; the list has one. */
static struct node *find(struct node *dir, const char *name)
{
	struct node *node;

	ck_assert_int_eq(tree_lookup(dir, name, &node), 0);
	if (node)
		node_put(node, 1);
	return node;
}

static struct node *snapshots(void)
{
	struct node *node = find(tree->root, "snapshots");

	ck_assert_ptr_nonnull(node);
	return node;
}

static void append(void *arg, struct node *dir, const char *name)
{
	char *text = arg;

	sprintf(text + strlen(text), "%s/%s ", dir->name, name);
}

static void ck_assert_notified(const char *expected)
{
	char text[1000] = "";

	tree_notify(tree, append, text);
	ck_assert_str_eq(text, expected);
}

static void ck_assert_lists(struct node *dir, const char *expected)
{
	struct dir *entries;
	char text[1000] = "";

	ck_assert_int_eq(tree_list(dir, &entries), 0);
	for (size_t i = 0; i < entries->n; i++)
		sprintf(text + strlen(text), "%s ", entries->nodes[i]->name);
	tree_unlist(entries);
	ck_assert_str_eq(text, expected);
}

START_TEST(lists_are_sorted_by_name)
{
	ck_assert_lists(tree->root, "disk.raw export info.json snapshots ");
	ck_assert_lists(snapshots(), "a b ");
	ck_assert_lists(find(snapshots(), "b"), "disk.raw export info.json ");
	ck_assert_ptr_null(find(snapshots(), "c"));
	ck_assert_notified("");
}
END_TEST

START_TEST(file_is_not_a_directory)
{
	struct node *node = find(tree->root, "disk.raw"), *found;
	struct dir *dir;

	ck_assert_int_eq(tree_list(node, &dir), -ENOTDIR);
	ck_assert_int_eq(tree_lookup(node, "x", &found), -ENOTDIR);
	ck_assert_ptr_null(found);
}
END_TEST

START_TEST(refresh_keeps_remaining_nodes)
{
	struct node *dir = snapshots(), *a = find(dir, "a"), *in_a = find(a, "disk.raw");

	add_state("aa");
	ck_assert_ptr_null(find(dir, "aa"));
	ck_assert_int_eq(tree_refresh(dir), 0);
	ck_assert_lists(dir, "a aa b ");
	ck_assert_notified("snapshots/aa ");
	ck_assert_ptr_eq(find(dir, "a"), a);
	ck_assert_ptr_eq(find(a, "disk.raw"), in_a);
	ck_assert(!atomic_load(&a->gone));
}
END_TEST

START_TEST(refresh_records_removed_names)
{
	struct node *dir = snapshots(), *b = node_get(find(dir, "b")), *found;
	struct node *in_b = node_get(find(b, "disk.raw"));
	struct dir *entries;

	delete_last_state();
	ck_assert_int_eq(tree_refresh(dir), 0);
	ck_assert_lists(dir, "a ");
	ck_assert_notified("snapshots/b ");
	ck_assert(atomic_load(&b->gone));
	ck_assert(atomic_load(&in_b->gone));
	ck_assert_int_eq(tree_list(b, &entries), -ESTALE);
	ck_assert_int_eq(tree_lookup(b, "disk.raw", &found), -ESTALE);
	ck_assert_str_eq(in_b->parent->name, "b");
	node_put(b, 1);
	node_put(in_b, 1);
}
END_TEST

START_TEST(refresh_of_an_unlisted_directory)
{
	struct node *dir = snapshots();

	delete_last_state();
	ck_assert_int_eq(tree_refresh(dir), 0);
	ck_assert_notified("");
	ck_assert_lists(dir, "a ");
}
END_TEST

START_TEST(list_in_use_is_kept)
{
	struct node *dir = snapshots();
	struct dir *entries;

	ck_assert_int_eq(tree_list(dir, &entries), 0);
	delete_last_state();
	ck_assert_int_eq(tree_refresh(dir), 0);
	ck_assert_uint_eq(entries->n, 2);
	ck_assert_str_eq(entries->nodes[1]->name, "b");
	ck_assert(atomic_load(&entries->nodes[1]->gone));
	tree_unlist(entries);
}
END_TEST

START_TEST(reset_drops_all_nodes_below)
{
	struct node *dir = node_get(snapshots()), *a = node_get(find(dir, "a"));

	tree_reset(tree->root);
	ck_assert_notified("/disk.raw /export /info.json /snapshots ");
	ck_assert(atomic_load(&dir->gone));
	ck_assert(atomic_load(&a->gone));
	ck_assert_ptr_ne(snapshots(), dir);
	ck_assert_lists(snapshots(), "a b ");
	node_put(dir, 1);
	node_put(a, 1);
}
END_TEST

START_TEST(nodes_held_at_the_end_are_freed)
{
	node_get(find(snapshots(), "a"));
	tree_reset(tree->root);
}
END_TEST

/* Lookups in other threads during a change return a node of the old list or of the new one. */

static void *lookup_main(void *arg)
{
	(void)arg;
	for (int i = 0; i < 2000; i++) {
		struct node *dir, *a = NULL;
		int ret = tree_lookup(tree->root, "snapshots", &dir);

		ck_assert_int_eq(ret, 0);
		ret = tree_lookup(dir, "a", &a);
		ck_assert(ret == -ESTALE || (ret == 0 && a));
		if (a)
			node_put(a, 1);
		node_put(dir, 1);
	}
	return NULL;
}

START_TEST(threads_look_up_while_lists_change)
{
	pthread_t threads[4];
	char text[100000];

	for (int i = 0; i < 4; i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, lookup_main, NULL), 0);
	for (int i = 0; i < 200; i++) {
		tree_reset(tree->root);
		ck_assert_int_eq(tree_refresh(tree->root), 0);
		text[0] = '\0';
		tree_notify(tree, append, text);
	}
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
}
END_TEST

Suite *tree_suite(void)
{
	TCase *tc = tcase_create("tree");

	tcase_add_checked_fixture(tc, set_up, tear_down);
	tcase_add_test(tc, lists_are_sorted_by_name);
	tcase_add_test(tc, file_is_not_a_directory);
	tcase_add_test(tc, refresh_keeps_remaining_nodes);
	tcase_add_test(tc, refresh_records_removed_names);
	tcase_add_test(tc, refresh_of_an_unlisted_directory);
	tcase_add_test(tc, list_in_use_is_kept);
	tcase_add_test(tc, reset_drops_all_nodes_below);
	tcase_add_test(tc, nodes_held_at_the_end_are_freed);
	tcase_add_test(tc, threads_look_up_while_lists_change);
	return suite_of("tree", tc);
}
