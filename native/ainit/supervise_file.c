/* What FILE says (supervise.h): every record is checked before anything is done. */
#define _GNU_SOURCE
#include "supervise.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int problem_set(struct problem *problem, int status, const char *facts, const char *format, ...) {
  va_list arguments;
  problem->status = status;
  snprintf(problem->facts, sizeof problem->facts, "%s", facts);
  va_start(arguments, format);
  vsnprintf(problem->text, sizeof problem->text, format, arguments);
  va_end(arguments);
  return -1;
}

/* Names become parts of LISTEN_FDNAMES and of environment variables. */
static int is_name(const char *text, size_t length) {
  static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-";
  return length > 0 && length <= NAME_BYTES_MAX && strspn(text, allowed) >= length;
}

static int is_octal_mode(const char *text, size_t length, mode_t *out) {
  char digits[8] = "";
  if (length < 3 || length > 4 || strspn(text, "01234567") < length) return 0;
  memcpy(digits, text, length);
  *out = (mode_t)strtoul(digits, NULL, 8);
  return *out <= 0777;
}

/* `PATH MODE GID`: read from the end, because a path may hold spaces. */
static int read_socket_file(const char *text, struct listener *out) {
  const char *gid = strrchr(text, ' ');
  if (gid == NULL) return 0;
  const char *mode = memrchr(text, ' ', (size_t)(gid - text));
  if (mode == NULL || text[0] != '/') return 0;
  size_t length = (size_t)(mode - text);
  unsigned long long number;
  if (length >= sizeof out->address || !is_octal_mode(mode + 1, (size_t)(gid - mode - 1), &out->mode)) return 0;
  if (parse_number(gid + 1, 0, UINT_MAX - 1, &number) != 0) return 0;
  memcpy(out->address, text, length);
  out->gid = (gid_t)number;
  return 1;
}

static int read_tcp(const char *text, struct listener *out) {
  size_t length = strlen(text);
  if (length == 0 || length >= sizeof out->address) return 0;
  memcpy(out->address, text, length + 1);
  out->is_tcp = 1;
  return 1;
}

/* `NAME KIND ADDRESS` */
static int read_listener(const char *value, struct listener *out) {
  static const struct {
    const char *kind;
    int type;
    int (*read)(const char *, struct listener *);
  } kinds[] = {
      {"tcp ", SOCK_STREAM, read_tcp},
      {"unix ", SOCK_STREAM, read_socket_file},
      {"seqpacket ", SOCK_SEQPACKET, read_socket_file},
  };
  size_t length = strcspn(value, " ");
  if (!is_name(value, length) || value[length] == '\0') return 0;
  memcpy(out->name, value, length);
  const char *rest = value + length + 1;
  for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
    size_t skip = strlen(kinds[i].kind);
    if (strncmp(rest, kinds[i].kind, skip) != 0) continue;
    out->type = kinds[i].type;
    return kinds[i].read(rest + skip, out);
  }
  return 0;
}

static int find_listener(const struct plan *plan, const char *name, size_t *out) {
  for (size_t i = 0; i < plan->listener_count; i++) {
    if (strcmp(plan->listeners[i].name, name) != 0) continue;
    *out = i;
    return 1;
  }
  return 0;
}

static int add_listener(struct plan *plan, const char *value) {
  size_t index;
  if (plan->listener_count == LISTENERS_MAX) return 0;
  struct listener *listener = &plan->listeners[plan->listener_count];
  listener->fd = -1;
  if (!read_listener(value, listener) || find_listener(plan, listener->name, &index)) return 0;
  plan->listener_count++;
  return 1;
}

static int add_process(struct plan *plan, const char *value) {
  if (plan->process_count == PROCESSES_MAX || !is_name(value, strlen(value))) return 0;
  for (size_t i = 0; i < plan->process_count; i++)
    if (strcmp(plan->processes[i].name, value) == 0) return 0;
  plan->processes[plan->process_count++] = (struct process){.name = value, .stop_ms = 10000};
  return 1;
}

static int add_to_process(struct plan *plan, struct process *process, const char *key, const char *value) {
  unsigned long long number = 0;
  if (strcmp(key, "arg") == 0) {
    if (process->arg_count == ARGS_MAX || (process->arg_count == 0 && value[0] != '/')) return 0;
    process->args[process->arg_count++] = value;
    return 1;
  }
  if (strcmp(key, "env") == 0) {
    if (process->env_count == ENVS_MAX || value[0] == '=' || strchr(value, '=') == NULL) return 0;
    process->envs[process->env_count++] = value;
    return 1;
  }
  if (strcmp(key, "socket") == 0) {
    if (process->socket_count == LISTENERS_MAX) return 0;
    return find_listener(plan, value, &process->sockets[process->socket_count++]);
  }
  if (strcmp(key, "stop_ms") == 0) return parse_number(value, 0, 3600 * 1000, &process->stop_ms) == 0;
  if (strcmp(key, "oom_score") == 0) {
    process->oom_score = value;
    return parse_number(value[0] == '-' ? value + 1 : value, 0, 1000, &number) == 0;
  }
  if (strcmp(key, "uid") == 0) {
    process->has_uid = parse_number(value, 0, UINT_MAX - 1, &number) == 0;
    process->uid = (uid_t)number;
    return process->has_uid;
  }
  if (strcmp(key, "gid") == 0) {
    process->has_gid = parse_number(value, 0, UINT_MAX - 1, &number) == 0;
    process->gid = (gid_t)number;
    return process->has_gid;
  }
  return 0;
}

static int add_path(const char **out, const char *value) {
  if (*out != NULL || value[0] != '/' || strlen(value) >= PATH_MAX - 8) return 0;
  *out = value;
  return 1;
}

static int add_record(struct plan *plan, const char *key, const char *value) {
  unsigned long long number = 0;
  if (strcmp(key, "process") == 0) return add_process(plan, value);
  if (plan->process_count > 0) return add_to_process(plan, &plan->processes[plan->process_count - 1], key, value);
  if (strcmp(key, "listen") == 0) return add_listener(plan, value);
  if (strcmp(key, "lock") == 0) return add_path(&plan->lock, value);
  if (strcmp(key, "ready") == 0) return add_path(&plan->ready, value);
  if (strcmp(key, "log") == 0) return add_path(&plan->log, value);
  if (strcmp(key, "log_bytes") == 0) return parse_number(value, 1, 1ULL << 40, &plan->log_bytes) == 0;
  if (strcmp(key, "notify") != 0 || parse_number(value, 3, 1 << 20, &number) != 0) return 0;
  plan->notify = (int)number;
  return fcntl(plan->notify, F_GETFD) >= 0;
}

static int check(const struct plan *plan, struct problem *problem) {
  if (plan->lock == NULL) return problem_set(problem, STATUS_FILE, "", "no record \"lock\"");
  if (plan->ready == NULL) return problem_set(problem, STATUS_FILE, "", "no record \"ready\"");
  if (plan->process_count == 0) return problem_set(problem, STATUS_FILE, "", "no record \"process\"");
  for (size_t i = 0; i < plan->process_count; i++) {
    const struct process *process = &plan->processes[i];
    if (process->arg_count == 0)
      return problem_set(problem, STATUS_FILE, "", "process \"%s\" has no record \"arg\"", process->name);
    if (process->has_uid != process->has_gid)
      return problem_set(problem, STATUS_FILE, "", "process \"%s\" needs both uid and gid, or neither", process->name);
  }
  return 0;
}

int plan_read(const char *path, struct plan *out, struct problem *problem) {
  *out = (struct plan){.notify = -1, .output = -1, .log_bytes = LOG_BYTES};
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return problem_set(problem, STATUS_MISSING, "", "cannot open %s: %s", path, strerror(errno));
  int status = spec_read(fd, &out->spec);
  int saved = errno;
  close(fd);
  if (status != 0) return problem_set(problem, STATUS_FILE, "", "cannot read %s: %s", path, strerror(saved));
  for (size_t i = 0; i < out->spec.count; i++) {
    const struct pair *pair = &out->spec.pairs[i];
    if (add_record(out, pair->key, pair->value)) continue;
    return problem_set(problem, STATUS_FILE, "", "record %zu is unknown, misplaced or not valid: %.64s=%.128s", i + 1,
                       pair->key, pair->value);
  }
  return check(out, problem);
}
