/* There are no other processes. gnulib adds its own to this header. */
#include <sys/types.h>

#define WNOHANG 1

pid_t waitpid(pid_t, int *, int);
