/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* libnbd.h - the functions of libnbd, which is loaded when it is first needed.
 *
 * It needs the libraries of TLS and XML, whose loading takes longer than most runs of a program
 * that reads a local image.
 */
#ifndef VDISK_NBD_LIBNBD_H
#define VDISK_NBD_LIBNBD_H

#include <libnbd.h>

struct err;

#define LIBNBD_FUNCTIONS(X)                                                                        \
	X(create)                                                                                  \
	X(close)                                                                                   \
	X(get_error)                                                                               \
	X(get_errno)                                                                               \
	X(get_version)                                                                             \
	X(set_uri_allow_local_file)                                                                \
	X(set_tls_certificates)                                                                    \
	X(set_tls_psk_file)                                                                        \
	X(set_tls_verify_peer)                                                                     \
	X(get_tls_negotiated)                                                                      \
	X(add_meta_context)                                                                        \
	X(can_meta_context)                                                                        \
	X(is_read_only)                                                                            \
	X(can_flush)                                                                               \
	X(can_trim)                                                                                \
	X(can_zero)                                                                                \
	X(can_multi_conn)                                                                          \
	X(get_export_name)                                                                         \
	X(get_size)                                                                                \
	X(get_block_size)                                                                          \
	X(aio_connect_uri)                                                                         \
	X(aio_get_fd)                                                                              \
	X(aio_get_direction)                                                                       \
	X(aio_notify_read)                                                                         \
	X(aio_notify_write)                                                                        \
	X(aio_is_ready)                                                                            \
	X(aio_is_dead)                                                                             \
	X(aio_is_closed)                                                                           \
	X(aio_disconnect)                                                                          \
	X(aio_pread_structured)                                                                    \
	X(aio_pwrite)                                                                              \
	X(aio_flush)                                                                               \
	X(aio_trim)                                                                                \
	X(aio_zero)                                                                                \
	X(aio_block_status)

/* libnbd.create() is nbd_create(), and so on. */
#define LIBNBD_POINTER(name) __typeof__(nbd_##name) *name;
extern struct libnbd {
	LIBNBD_FUNCTIONS(LIBNBD_POINTER)
} libnbd;
#undef LIBNBD_POINTER

/* Loads it once, for the whole process; one thread at a time. */
int libnbd_load(struct err *e);

#endif
