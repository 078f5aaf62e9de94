/* The event loop (loop.h). */
#define _GNU_SOURCE
#include "loop.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

static int epoll_fd = -1;
static struct timer *timers; /* unordered: there are a handful */
static struct source clock_source;
static uint64_t armed_ns;
static void (*after_each)(void);

uint64_t now_ns(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

/* Lets the timerfd fire at the nearest deadline. */
static void arm(void) {
  uint64_t nearest_ns = 0;
  for (struct timer *timer = timers; timer != NULL; timer = timer->next)
    if (nearest_ns == 0 || timer->at_ns < nearest_ns) nearest_ns = timer->at_ns;
  if (nearest_ns == armed_ns) return;
  armed_ns = nearest_ns;
  struct itimerspec when = {
      .it_value = {.tv_sec = (time_t)(nearest_ns / NS_PER_S), .tv_nsec = (long)(nearest_ns % NS_PER_S)}};
  timerfd_settime(clock_source.fd, TFD_TIMER_ABSTIME, &when, NULL);
}

void timer_stop(struct timer *timer) {
  for (struct timer **link = &timers; *link != NULL; link = &(*link)->next) {
    if (*link != timer) continue;
    *link = timer->next;
    break;
  }
  timer->next = NULL;
  timer->at_ns = 0;
}

void timer_set(struct timer *timer, uint64_t at_ns) {
  timer_stop(timer);
  timer->at_ns = at_ns == 0 ? 1 : at_ns;
  timer->next = timers;
  timers = timer;
}

/* The first timer that is due, or NULL. */
static struct timer *due(uint64_t at_ns) {
  for (struct timer *timer = timers; timer != NULL; timer = timer->next)
    if (timer->at_ns <= at_ns) return timer;
  return NULL;
}

static void clock_ready(struct source *source, uint32_t events) {
  uint64_t expirations;
  (void)events;
  if (read(source->fd, &expirations, sizeof expirations) < 0 && errno != EAGAIN) return;
  armed_ns = 0;
  uint64_t at_ns = now_ns(); /* fixed, so that a timer that sets itself anew cannot hold the loop */
  for (struct timer *timer = due(at_ns); timer != NULL; timer = due(at_ns)) {
    timer_stop(timer);
    timer->fire(timer);
  }
}

void loop_open(void) {
  epoll_fd = epoll_create1(EPOLL_CLOEXEC);
  int clock_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
  if (epoll_fd < 0 || clock_fd < 0 || source_open(&clock_source, clock_fd, EPOLLIN, clock_ready) < 0) _exit(70);
}

_Noreturn void loop_run(void) {
  for (;;) {
    struct epoll_event event;
    if (after_each != NULL) after_each();
    arm();
    if (epoll_wait(epoll_fd, &event, 1, -1) != 1) continue;
    struct source *source = event.data.ptr;
    source->ready(source, event.events);
  }
}

void loop_after_each(void (*work)(void)) {
  after_each = work;
}

int source_open(struct source *source, int fd, uint32_t interest, void (*ready)(struct source *, uint32_t)) {
  struct epoll_event event = {.events = interest, .data.ptr = source};
  if (interest != 0 && epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0) return -1;
  *source = (struct source){.fd = fd, .interest = interest, .ready = ready};
  return 0;
}

void source_want(struct source *source, uint32_t interest) {
  if (source->fd < 0 || source->interest == interest) return;
  struct epoll_event event = {.events = interest, .data.ptr = source};
  int operation = interest == 0 ? EPOLL_CTL_DEL : source->interest == 0 ? EPOLL_CTL_ADD : EPOLL_CTL_MOD;
  if (epoll_ctl(epoll_fd, operation, source->fd, &event) == 0) source->interest = interest;
}

void source_close(struct source *source) {
  if (source->fd < 0) return;
  source_want(source, 0);
  close(source->fd);
  source->fd = -1;
}
