/*
 * `ainit supervise FILE` (docs/internals/ainit.md, "supervise"): holds the listening sockets of a node and restarts the
 * processes that serve them. It knows nothing of what they do, and it stays small enough never to fail itself.
 */
#ifndef AINIT_SUPERVISE_H
#define AINIT_SUPERVISE_H

#include <stddef.h>
#include <sys/types.h>

#include "spec.h"

#define LISTENERS_MAX 32
#define PROCESSES_MAX 16
#define ARGS_MAX 64
#define ENVS_MAX 128
#define NAME_BYTES_MAX 32
#define LOG_BYTES (4 << 20)
#define ADDRESS_BYTES_MAX 108

/* Statuses of sysexits(3). */
enum { STATUS_FILE = 64, STATUS_MISSING = 66, STATUS_LISTEN = 69, STATUS_SYSTEM = 71, STATUS_LOCKED = 73 };

/* Why supervise could not begin: its exit status, a sentence, and facts as ` key=value` for the `notify` line. */
struct problem {
  int status;
  char facts[256];
  char text[512];
};

/* Always -1. `facts` may be "". */
int problem_set(struct problem *problem, int status, const char *facts, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

struct listener {
  char name[NAME_BYTES_MAX + 1];
  int type; /* SOCK_STREAM or SOCK_SEQPACKET */
  int is_tcp;
  char address[ADDRESS_BYTES_MAX]; /* as asked for; once bound, with the real port */
  mode_t mode;
  gid_t gid;
  int fd; /* -1 until bound */
};

struct process {
  const char *name;
  const char *args[ARGS_MAX + 1];
  size_t arg_count;
  const char *envs[ENVS_MAX];
  size_t env_count;
  size_t sockets[LISTENERS_MAX]; /* indices into `listeners` */
  size_t socket_count;
  unsigned long long stop_ms;
  const char *oom_score;
  int has_uid, has_gid;
  uid_t uid;
  gid_t gid;

  pid_t pid;             /* 0: not running */
  long long started_at;  /* times are CLOCK_MONOTONIC milliseconds */
  long long start_at;    /* while not running: when to start */
  long long kill_at;     /* while it is to end: when SIGKILL follows; 0: it is not to end; -1: it was sent */
  unsigned failures;     /* ends in a row without a long life between */
};

/* What FILE says. */
struct plan {
  struct spec spec; /* owns the text */
  const char *lock;
  const char *ready;
  const char *log; /* NULL: output goes where ours does */
  unsigned long long log_bytes;
  int output; /* what processes write to in place of our stdout and stderr; -1: nothing */
  int notify; /* -1: nobody asked */
  struct listener listeners[LISTENERS_MAX];
  size_t listener_count;
  struct process processes[PROCESSES_MAX];
  size_t process_count;
};

/* supervise_file.c: reads and checks all of FILE. 0, or -1 with the problem, which names the record. */
int plan_read(const char *path, struct plan *out, struct problem *problem);

/* supervise_listen.c: binds every listener, in order. 0, or -1 with the problem, which names the address. */
int listeners_bind(struct listener *listeners, size_t count, struct problem *problem);
/* Moves a descriptor above every number that a child expects one at, so that none is in the way of another. */
int descriptor_move_up(int fd);
/* Removes the socket files that were bound. */
void listeners_unlink(const struct listener *listeners, size_t count);
/* Removes the folders they were in, where nothing else is left. */
void listeners_leave(const struct listener *listeners, size_t count);
/* Removes the folder that `path` is in, when it is empty. */
void folder_leave(const char *path);

/* supervise_lock.c: takes the lock and writes our pid into it. The descriptor, or -1 with the problem. */
int lock_take(const char *path, struct problem *problem);
/* Writes our pid and those of the running processes into the lock. 0, or -1 with errno. */
int lock_record(int fd, const struct process *processes, size_t count);

/* supervise_output.c: opens the log that the plan names, if any, and sets `output`. 0, or -1 with the problem. */
int output_open(struct plan *plan, struct problem *problem);
/* Readable when the processes have written; -1: there is no log. */
int output_reader(void);
/* Writes what they have written. */
void output_take(void);
/* Writes a line of our own. */
void output_write(const char *bytes, size_t length);

/* supervise_spawn.c: starts `process`, whose sockets come first and the lock's descriptor after them. The pid, or -1. */
pid_t process_spawn(const struct plan *plan, const struct process *process, int lock);

int supervise_main(int argc, char **argv);

#endif
