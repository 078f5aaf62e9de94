/*
 * A process that PID 1 started, with its stdio: the task, or the program of an EXEC session. Starting, reading, feeding and
 * reaping are the same for both; what to do with output and with the end is the owner's.
 */
#ifndef AINIT_PROCESS_H
#define AINIT_PROCESS_H

#include <stdint.h>
#include <sys/types.h>

#include "child.h"
#include "loop.h"

struct process;

/* Called from the event loop. Every process ends with exactly one of `failed` and `ended`. */
struct process_owner {
  /* exec has worked. */
  void (*started)(struct process *process);
  /* It could not be started; whatever was there is reaped without further word. */
  void (*failed)(struct process *process, const char *step, int number, const char *text);
  /* `type` is FRAME_STDOUT or FRAME_STDERR. */
  void (*output)(struct process *process, uint8_t type, const uint8_t *bytes, size_t length);
  /* Its stdin took all it was given: `process_write` may be called again. */
  void (*hungry)(struct process *process);
  /* About to be reaped: its process group still is what it was. */
  void (*ending)(struct process *process);
  /* Reaped; what it had written before has gone to `output`. */
  void (*ended)(struct process *process, int wait_status);
};

enum process_stage { PROCESS_NONE, PROCESS_STARTING, PROCESS_RUNNING };

struct process {
  const struct process_owner *owner;
  pid_t pid;
  enum process_stage stage;
  int is_terminal;
  struct source stdin;     /* a pipe's end, or the terminal */
  struct source output[2]; /* stdout and stderr; a terminal's output is all stdout */
  struct source reports;
  int is_ready; /* the child said that it is about to exec */
  uint8_t *pending; /* input that the pipe has not taken yet */
  size_t pending_at, pending_length;
  struct process *next; /* among those that are alive */
};

struct stdio_plan {
  int has_stdin; /* otherwise /dev/null */
  int is_terminal;
  uint16_t rows, columns;
};

/* Reads `rows:columns`; NULL is no terminal. 0, or -1 with errno EINVAL. */
int stdio_plan_read_terminal(const char *text, struct stdio_plan *plan);

/* Starts `command`, whose stdio is filled in here. A failure comes through `owner->failed`, perhaps before this returns. */
void process_start(struct process *process, const struct process_owner *owner, struct command *command,
                   const struct stdio_plan *plan);

/* Takes all bytes, or none of them while earlier ones wait (0: took them; -1: wait for `hungry`). */
int process_write(struct process *process, const uint8_t *bytes, size_t length);
/* End-of-file after all that was written; what a terminal's user would type. Returns as `process_write`. */
int process_write_end(struct process *process);
void process_resize(struct process *process, uint16_t rows, uint16_t columns);
/* To its process group. 0, or -1 with errno. */
int process_signal(struct process *process, int number);

/* Whether output is read; back-pressure is to leave it in the pipe. */
void process_read(struct process *process, int is_wanted);
/* Reads what is there, up to a bound, whatever the readers say. */
void process_drain(struct process *process);
/* Lets go of its stdio. */
void process_hang_up(struct process *process);

/* Reaps whatever has ended. Returns 1 while there are children left. */
int process_reap_all(void);

#endif
