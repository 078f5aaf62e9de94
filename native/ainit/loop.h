/*
 * The event loop of PID 1: one thread, one epoll, one timerfd. Knows descriptors and deadlines, nothing of what they are for.
 *
 * One event is taken per wait, so a handler may close any source or reuse any slot: no stale event can be pending.
 */
#ifndef AINIT_LOOP_H
#define AINIT_LOOP_H

#include <stddef.h>
#include <stdint.h>
#include <sys/epoll.h>

#define NS_PER_MS 1000000ull
#define NS_PER_S 1000000000ull

#define container_of(pointer, type, member) ((type *)((char *)(pointer) - offsetof(type, member)))

/* A descriptor that is waited for. `fd` is -1 when there is none. */
struct source {
  int fd;
  uint32_t interest;
  void (*ready)(struct source *source, uint32_t events);
};

/* A deadline; `at_ns` is 0 while it is not set. */
struct timer {
  uint64_t at_ns;
  struct timer *next;
  void (*fire)(struct timer *timer);
};

/* Ends the process when the kernel gives no epoll: nothing can be done without. */
void loop_open(void);
_Noreturn void loop_run(void);
/* `work` is called before each wait; there is one such work. */
void loop_after_each(void (*work)(void));

/* Level-triggered. 0, or -1 with errno; `fd` then still belongs to the caller. */
int source_open(struct source *source, int fd, uint32_t interest, void (*ready)(struct source *, uint32_t));
/* Interest 0 takes it out of the loop, so that not even a hang-up is reported. */
void source_want(struct source *source, uint32_t interest);
void source_close(struct source *source);

/* CLOCK_MONOTONIC. */
uint64_t now_ns(void);
void timer_set(struct timer *timer, uint64_t at_ns);
void timer_stop(struct timer *timer);

#endif
