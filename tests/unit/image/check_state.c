/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* check_state.c - states are added and removed while other threads look one up by its number. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "util/err.h"
#include "image/image.h"
#include "common/unit.h"

#define STATES  64
#define ROUNDS  20000
#define GETTERS 3

static struct image image;
static atomic_uint kept; /* number of a state that is not removed */
static atomic_bool ended;
static atomic_uint wrong;

static unsigned add(void)
{
	struct err e = ERR_INIT;
	struct state *s = state_new("id", "name", &e);

	ck_assert_ptr_nonnull(s);
	ck_assert_ok(state_add(&image, s, &e), &e);
	return s->no;
}

static void *get_kept(void *arg)
{
	(void)arg;
	while (!ended) {
		unsigned no = kept;
		struct state *s = state_get(&image, no);

		/* NULL: the state was removed after its number was read */
		if (s && s->no != no)
			wrong++;
		else
			state_put(s);
	}
	return NULL;
}

/* Removes states before the kept one, so that its index in the list changes. */
START_TEST(numbers_are_stable)
{
	pthread_t getters[GETTERS];

	pthread_mutex_init(&image.states_lock, NULL);
	for (unsigned i = 0; i < STATES; i++)
		add();
	kept = STATES - 1;
	for (unsigned i = 0; i < GETTERS; i++)
		ck_assert_int_eq(pthread_create(&getters[i], NULL, get_kept, NULL), 0);
	for (unsigned i = 0; i < ROUNDS; i++) {
		unsigned newest = add();

		state_remove(&image, i % (STATES / 2));
		if (i % (STATES / 4) == 0)
			kept = newest;
	}
	ended = true;
	for (unsigned i = 0; i < GETTERS; i++)
		ck_assert_int_eq(pthread_join(getters[i], NULL), 0);
	ck_assert_uint_eq(wrong, 0);
	while (image.nstates > 0)
		state_remove(&image, 0);
	free(image.states);
	pthread_mutex_destroy(&image.states_lock);
}
END_TEST

Suite *state_suite(void)
{
	TCase *tc = tcase_create("state");

	tcase_add_test(tc, numbers_are_stable);
	return suite_of("state", tc);
}
