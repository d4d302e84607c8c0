/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* vbox.c - parses the XML of a .vbox file to a struct machine.
 *
 * The file registers media by UUID, differencing images inside their parents, and each state of the
 * machine lists the media that were attached.  Versions of VirtualBox differ in the places of the
 * elements: all of them are searched.
 */
#include "vbox.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "util/limits.h"
#include "util/err.h"
#include "util/guid.h"
#include "io/io.h"
#include "machine.h"
#include "util/xml.h"
#include "util/text.h"

#define SLOT_MAX 256

static const char *attr(const struct xml *node, const char *name, const char *otherwise)
{
	const char *value = xml_attr(node, name);

	return value ? value : otherwise;
}

/* The id is zero if the attribute is absent or not a UUID. */
static void read_id(unsigned char id[GUID_LEN], const struct xml *node, const char *name)
{
	if (!guid_parse(id, attr(node, name, "")))
		memset(id, 0, GUID_LEN);
}

static bool is_windows_path(const char *path)
{
	return ((path[0] | 0x20) >= 'a' && (path[0] | 0x20) <= 'z' && path[1] == ':' &&
		       (path[2] == '\\' || path[2] == '/')) ||
	       strncmp(path, "\\\\", 2) == 0;
}

/* A path of a Windows host does not exist here, but the file may lie beside the description, or in
 * folder, which has the snapshots; folder may be "". */
static void shorten_windows_path(char *path, const char *folder)
{
	char *file, *from;
	size_t n = strlen(folder);

	if (!is_windows_path(path))
		return;
	for (char *c = strchr(path, '\\'); c; c = strchr(c, '\\'))
		*c = '/';
	file = strrchr(path, '/');
	from = file + 1;
	if (n > 0 && file > path + n && *(file - n - 1) == '/' &&
		strncasecmp(file - n, folder, n) == 0)
		from = file - n;
	memmove(path, from, strlen(from) + 1);
}

/* Recorded for the base image only: a differencing image is encrypted as its parent. */
static bool is_encrypted(const struct xml *disk)
{
	const struct xml *p = xml_child(disk, "Property");

	for (; p; p = xml_again(p))
		if (strncmp(attr(p, "name", ""), "CRYPT/", 6) == 0 && *attr(p, "value", ""))
			return true;
	return false;
}

static int refuse_count(struct err *e)
{
	return err_set(e, EFBIG, "more than %d hard disks", VBOX_MAX_MEDIA);
}

/* The recursion is limited by the nesting that xml_parse accepts. */
static int add_media(struct machine *m, const struct xml *holder, const unsigned char *parent,
	const char *refusal, struct err *e)
{
	const struct xml *disk = xml_child(holder, "HardDisk");
	int r = 0;

	for (; disk && r == 0; disk = xml_again(disk)) {
		const char *format = attr(disk, "format", ""), *why = NULL;
		struct machine_medium *medium;
		unsigned char id[GUID_LEN];

		if (m->nmedia == VBOX_MAX_MEDIA)
			return refuse_count(e);
		medium = machine_add_medium(m, attr(disk, "location", ""), e);
		if (!medium)
			return -ENOMEM;
		read_id(id, disk, "uuid");
		memcpy(medium->id, id, GUID_LEN);
		medium->registered = true;
		medium->is_raw = strcasecmp(format, "RAW") == 0;
		memcpy(medium->parent, parent, GUID_LEN);
		if (strcasecmp(format, "iSCSI") == 0)
			why = "it lies on an iSCSI target";
		else if (refusal)
			why = refusal;
		else if (is_encrypted(disk))
			why = "its data is encrypted by VirtualBox";
		shorten_windows_path(medium->file, text_basename(m->snapshot_dir));
		if (why && !(medium->refusal = strdup(why)))
			return err_nomem(e);
		r = add_media(m, disk, id, why, e);
	}
	return r;
}

/* Before VirtualBox 4, and where machines share a disk, media are registered elsewhere.  Their
 * files may have the name of a differencing image. */
static const struct machine_medium *add_unregistered(
	struct machine *m, const unsigned char id[GUID_LEN], struct err *e)
{
	char uuid[GUID_TEXT], file[GUID_TEXT + 8];
	struct machine_medium *medium;

	if (m->nmedia == VBOX_MAX_MEDIA) {
		refuse_count(e);
		return NULL;
	}
	guid_text(uuid, id);
	snprintf(file, sizeof file, "{%s}.vdi", uuid);
	medium = machine_add_medium(m, file, e);
	if (medium)
		memcpy(medium->id, id, GUID_LEN);
	return medium;
}

static int add_disk(struct machine *m, struct machine_state *state, const struct xml *controller,
	const struct xml *device, struct err *e)
{
	const struct machine_medium *medium;
	unsigned char id[GUID_LEN];
	char slot[SLOT_MAX];

	if (strcmp(attr(device, "type", ""), "HardDisk") != 0)
		return 0;
	read_id(id, xml_child(device, "Image"), "uuid");
	if (guid_is_zero(id))
		return 0;
	medium = machine_find_medium(m, id);
	if (!medium)
		medium = add_unregistered(m, id, e);
	if (!medium)
		return -e->code;
	snprintf(slot, sizeof slot, "%.200s %.20s:%.20s", attr(controller, "name", ""),
		attr(device, "port", "0"), attr(device, "device", "0"));
	return machine_add_disk(state, slot, medium->file, e);
}

/* The controllers are in Hardware since VirtualBox 5, before they were beside it. */
static int add_disks(
	struct machine *m, struct machine_state *state, const struct xml *node, struct err *e)
{
	const struct xml *list = xml_child(xml_child(node, "Hardware"), "StorageControllers");
	const struct xml *controller;
	int r = 0;

	if (!list)
		list = xml_child(node, "StorageControllers");
	controller = xml_child(list, "StorageController");
	for (; controller && r == 0; controller = xml_again(controller)) {
		const struct xml *device = xml_child(controller, "AttachedDevice");

		for (; device && r == 0; device = xml_again(device))
			r = add_disk(m, state, controller, device, e);
	}
	return r;
}

/* Adds the snapshots in holder, all based on snapshot number parent, each before its children.
 * current: the snapshot that the current state is based on; zero: none. */
static int add_snapshots(struct machine *m, const struct xml *holder, size_t parent,
	const unsigned char *current, struct err *e)
{
	const struct xml *node = xml_child(holder, "Snapshot");
	int r = 0;

	for (; node && r == 0; node = xml_again(node)) {
		size_t number = m->nstates;
		struct machine_state *state;
		struct tm tm = {0};
		unsigned char id[GUID_LEN];

		if (number > VBOX_MAX_SNAPSHOTS)
			return err_set(e, EFBIG, "more than %d snapshots", VBOX_MAX_SNAPSHOTS);
		state = machine_add_state(m, attr(node, "name", ""), e);
		if (!state)
			return -ENOMEM;
		state->parent = parent;
		/* "2024-05-06T07:08:09Z" */
		if (strptime(attr(node, "timeStamp", ""), "%Y-%m-%dT%H:%M:%S", &tm))
			state->when.tv_sec = timegm(&tm);
		read_id(id, node, "uuid");
		if (!guid_is_zero(id) && memcmp(id, current, GUID_LEN) == 0)
			m->states[0].parent = number;
		r = add_disks(m, state, node, e);
		if (r == 0)
			r = add_snapshots(m, xml_child(node, "Snapshots"), number, current, e);
	}
	return r;
}

static int read_machine(struct machine *m, const struct xml *node, struct err *e)
{
	static const unsigned char none[GUID_LEN];
	const struct xml *registry = xml_child(node, "MediaRegistry");
	const char *folder = attr(node, "snapshotFolder", "");
	unsigned char current[GUID_LEN];
	int r;

	m->snapshot_dir = strdup(*folder ? folder : "Snapshots");
	if (!m->snapshot_dir)
		return err_nomem(e);
	shorten_windows_path(m->snapshot_dir, "");
	r = add_media(m, xml_child(registry, "HardDisks"), none, NULL, e);
	if (r == 0)
		r = add_disks(m, &m->states[0], node, e);
	read_id(current, node, "currentSnapshot");
	return r == 0 ? add_snapshots(m, node, 0, current, e) : r;
}

int vbox_read(struct io *io, struct machine **out, struct err *e)
{
	const struct xml *node = NULL;
	struct machine *m;
	struct xml *root;
	char *text;
	int r = io_read_text(io, XML_MAX_BYTES, &text, e);

	if (r < 0)
		return r;
	r = xml_parse(text, io->size, &root, e);
	free(text);
	if (r < 0)
		return r;
	if (strcmp(root->name, "VirtualBox") == 0)
		node = xml_child(root, "Machine");
	if (node) {
		m = machine_new(attr(node, "name", ""), e);
		r = m ? read_machine(m, node, e) : -ENOMEM;
		if (r == 0)
			*out = m;
		else
			machine_free(m);
	} else if (xml_child(root, "MachineEncrypted")) {
		r = err_set(e, ENOTSUP, "the description of the machine is encrypted");
	} else {
		r = err_set(e, EINVAL, "not a VirtualBox machine: no Machine in it");
	}
	xml_free(root);
	return r;
}
