/* What these programs call, and WASI has not: locks that nobody else could hold, and calls that fail. */
#include <errno.h>
#include <sys/types.h>

static int fail(void) {
  errno = ENOSYS;
  return -1;
}

int chmod(const char *path, mode_t mode) { return (void)path, (void)mode, fail(); }
int dup2(int from, int to) { return (void)from, (void)to, fail(); }
int execvp(const char *file, char *const *args) { return (void)file, (void)args, fail(); }
pid_t fork(void) { return fail(); }
int pipe(int *ends) { return (void)ends, fail(); }
pid_t waitpid(pid_t pid, int *status, int options) { return (void)pid, (void)status, (void)options, fail(); }

gid_t getegid(void) { return 0; }
uid_t geteuid(void) { return 0; }
int getdtablesize(void) { return 1024; }
mode_t umask(mode_t mask) { return (void)mask, 022; }

/* No signal ever comes. */
int sigaction(int number, const void *wanted, void *former) { return (void)number, (void)wanted, (void)former, 0; }

/* Callers that find no declaration expect a number. */
int flockfile(void *file) { return (void)file, 0; }
int funlockfile(void *file) { return (void)file, 0; }
int tzset(void) { return 0; }
int mtx_init(void *mutex, int type) { return (void)mutex, (void)type, 0; }
int mtx_lock(void *mutex) { return (void)mutex, 0; }
int mtx_unlock(void *mutex) { return (void)mutex, 0; }
void call_once(int *flag, void (*function)(void)) {
  if (*flag != 0) return;
  *flag = 1;
  function();
}

/* Nor is there another thread. */
int pthread_create(void *thread, void *how, void *function, void *value) {
  return (void)thread, (void)how, (void)function, (void)value, EAGAIN;
}
int pthread_join(void *thread, void *result) { return (void)thread, (void)result, EINVAL; }
int pthread_cond_destroy(void *condition) { return (void)condition, 0; }
int pthread_cond_init(void *condition, void *how) { return (void)condition, (void)how, 0; }
int pthread_cond_signal(void *condition) { return (void)condition, 0; }
int pthread_cond_wait(void *condition, void *mutex) { return (void)condition, (void)mutex, 0; }
int pthread_mutex_destroy(void *mutex) { return (void)mutex, 0; }
int pthread_mutex_init(void *mutex, void *how) { return (void)mutex, (void)how, 0; }
int pthread_mutex_lock(void *mutex) { return (void)mutex, 0; }
int pthread_mutex_unlock(void *mutex) { return (void)mutex, 0; }
