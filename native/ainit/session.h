/* EXEC sessions: a process more, whose stdio is a control connection and which ends with it. */
#ifndef AINIT_SESSION_H
#define AINIT_SESSION_H

#include <stddef.h>
#include <stdint.h>

#include "control.h"
#include "process.h"

#define SESSIONS_MAX 32

struct session;

/* 0, or -1 with errno; EAGAIN when there are too many, EINPROGRESS when it is to be asked again, as told by being unblocked. On success the connection has a `session` or was told an error. */
int session_open(struct connection *connection, const uint8_t *records, size_t length);

struct process *session_process(struct session *session);

/* The connection is gone: hang up, and soon kill. */
void session_abandon(struct session *session);

/* The connection takes output again. */
void session_resume(struct session *session);

#endif
