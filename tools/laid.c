/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "laid.h"

#include <string.h>
#include <strings.h>

#include "err.h"
#include "format.h"
#include "granules.h"
#include "source.h"
#include "view.h"
#include "words.h"

static bool is_variant(const struct layout *l, const char *word)
{
	static const char key[] = "subformat=";

	return strncmp(word, key, strlen(key)) == 0 && l->variant &&
	       strcasecmp(word + strlen(key), l->variant) == 0;
}

static bool fits(const struct layout *l, const struct words *words)
{
	for (size_t i = 0; i < words->n; i++)
		if (!is_variant(l, words->v[i]))
			return false;
	return true;
}

const struct layout *laid_choose(const struct format *f, const struct words *words)
{
	for (const struct layout *const *l = f->layouts; l && *l; l++)
		if (fits(*l, words))
			return *l;
	return NULL;
}

int laid_begin(struct laid *l, const struct layout *layout, const struct source *source,
	const char *name, struct err *e)
{
	const struct state *state = source->state;
	const char *slash = strrchr(name, '/');
	int r;

	*l = (struct laid){0};
	l->stored = granules_of(state->view, LAYOUT_BITS, e);
	if (!l->stored)
		return -e->code;
	l->source = (struct layout_source){
		.disk = state->view,
		.stored = l->stored,
		.cache = source->how.cache,
		.sector_size = source->img->sector_size,
	};
	r = layout_identify(&l->source, source->img, state, e);
	return r < 0 ? r : layout_make(layout, &l->source, slash ? slash + 1 : name, &l->file, e);
}

void laid_end(struct laid *l)
{
	view_free(l->file);
	granules_free(l->stored);
}
