/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "machine.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "util/array.h"
#include "util/err.h"

struct machine *machine_new(const char *name, struct err *e)
{
	struct machine *m = calloc(1, sizeof *m);

	if (m)
		m->name = strdup(name);
	if (!m || !m->name || !machine_add_state(m, "", e)) {
		err_nomem(e);
		machine_free(m);
		return NULL;
	}
	return m;
}

struct machine_state *machine_add_state(struct machine *m, const char *name, struct err *e)
{
	struct machine_state *states = array_grow(m->states, m->nstates, sizeof *states);
	char *copy = strdup(name);

	if (states)
		m->states = states;
	if (!states || !copy) {
		free(copy);
		err_nomem(e);
		return NULL;
	}
	states[m->nstates] = (struct machine_state){.name = copy};
	return &states[m->nstates++];
}

int machine_add_disk(struct machine_state *state, const char *slot, const char *file, struct err *e)
{
	struct machine_disk *disks = array_grow(state->disks, state->ndisks, sizeof *disks), *d;

	if (!disks)
		return err_nomem(e);
	state->disks = disks;
	d = &disks[state->ndisks++];
	*d = (struct machine_disk){.slot = strdup(slot), .file = strdup(file)};
	return d->slot && d->file ? 0 : err_nomem(e);
}

struct machine_medium *machine_add_medium(struct machine *m, const char *file, struct err *e)
{
	struct machine_medium *media = array_grow(m->media, m->nmedia, sizeof *media);
	char *copy = strdup(file);

	if (media)
		m->media = media;
	if (!media || !copy) {
		free(copy);
		err_nomem(e);
		return NULL;
	}
	media[m->nmedia] = (struct machine_medium){.file = copy};
	return &media[m->nmedia++];
}

const struct machine_medium *machine_find_medium(
	const struct machine *m, const unsigned char id[GUID_LEN])
{
	for (size_t i = 0; i < m->nmedia && !guid_is_zero(id); i++)
		if (memcmp(m->media[i].id, id, GUID_LEN) == 0)
			return &m->media[i];
	return NULL;
}

void machine_free(struct machine *m)
{
	if (!m)
		return;
	for (size_t i = 0; i < m->nstates; i++) {
		struct machine_state *s = &m->states[i];

		for (size_t k = 0; k < s->ndisks; k++) {
			free(s->disks[k].slot);
			free(s->disks[k].file);
		}
		free(s->disks);
		free(s->name);
	}
	for (size_t i = 0; i < m->nmedia; i++) {
		free(m->media[i].file);
		free(m->media[i].refusal);
	}
	free(m->states);
	free(m->media);
	free(m->snapshot_dir);
	free(m->name);
	free(m);
}
