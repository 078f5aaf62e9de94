/*
 * What a server application expects of Linux, tried call by call: prints "ok NAME" or "FAIL NAME: why" for each, and exits
 * with the number of those that failed. Runs as root in a guest, with /proc, /tmp, /dev/pts, /dev/shm and /dev/mqueue.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <linux/filter.h>
#include <linux/inet_diag.h>
#include <linux/membarrier.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/seccomp.h>
#include <linux/sock_diag.h>
#include <linux/userfaultfd.h>
#include <mqueue.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <pty.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/msg.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/sem.h>
#include <sys/sendfile.h>
#include <sys/shm.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

/* Ends a check: what was expected, and where. */
#define EXPECT(condition)                                                  \
    do {                                                                   \
        if (!(condition)) {                                                \
            snprintf(why, sizeof why, "%s (errno %d)", #condition, errno); \
            return 0;                                                      \
        }                                                                  \
    } while (0)
#define SECONDS_MAX 30

static char why[256];

static int wait_readable(int fd)
{
    struct pollfd one = { fd, POLLIN, 0 };
    return poll(&one, 1, SECONDS_MAX * 1000) == 1;
}

static int exits_with(pid_t child, int status)
{
    int found;
    return child > 0 && waitpid(child, &found, 0) == child && WIFEXITED(found) && WEXITSTATUS(found) == status;
}

static int check_epoll(void)
{
    int poller = epoll_create1(EPOLL_CLOEXEC), counter = eventfd(0, EFD_NONBLOCK);
    struct epoll_event event = { EPOLLIN | EPOLLET, { .u32 = 7 } }, found;
    uint64_t one = 1, value;
    EXPECT(poller >= 0 && counter >= 0 && epoll_ctl(poller, EPOLL_CTL_ADD, counter, &event) == 0);
    EXPECT(epoll_wait(poller, &found, 1, 0) == 0);
    EXPECT(write(counter, &one, 8) == 8 && epoll_wait(poller, &found, 1, -1) == 1 && found.data.u32 == 7);
    EXPECT(read(counter, &value, 8) == 8 && value == 1);
    struct timespec soon = { 0, 1000 };
    EXPECT(syscall(SYS_epoll_pwait2, poller, &found, 1, &soon, NULL, 0) == 0);
    return close(poller) == 0 && close(counter) == 0;
}

static int check_timers(void)
{
    struct timespec resolution;
    EXPECT(clock_getres(CLOCK_MONOTONIC, &resolution) == 0 && resolution.tv_sec == 0 && resolution.tv_nsec == 1);
    EXPECT(clock_getres(CLOCK_BOOTTIME, &resolution) == 0 && clock_getres(CLOCK_REALTIME_COARSE, &resolution) == 0);
    int timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
    struct itimerspec when = { { 0, 1000000 }, { 0, 1000000 } };
    uint64_t expirations;
    EXPECT(timer >= 0 && timerfd_settime(timer, 0, &when, NULL) == 0);
    EXPECT(wait_readable(timer) && read(timer, &expirations, 8) == 8 && expirations > 0);
    close(timer);

    sigset_t set;
    siginfo_t info;
    timer_t posix;
    struct sigevent event = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGRTMIN + 3, .sigev_value.sival_int = 42 };
    struct timespec deadline = { SECONDS_MAX, 0 };
    sigemptyset(&set);
    sigaddset(&set, SIGRTMIN + 3);
    EXPECT(sigprocmask(SIG_BLOCK, &set, NULL) == 0 && timer_create(CLOCK_MONOTONIC, &event, &posix) == 0);
    when.it_interval = (struct timespec){ 0, 0 };
    EXPECT(timer_settime(posix, 0, &when, NULL) == 0 && sigtimedwait(&set, &info, &deadline) == SIGRTMIN + 3);
    EXPECT(info.si_value.sival_int == 42 && timer_delete(posix) == 0);
    event.sigev_signo = SIGRTMIN + 3;
    EXPECT(timer_create(CLOCK_PROCESS_CPUTIME_ID, &event, &posix) == 0 && timer_delete(posix) == 0);
    return 1;
}

static volatile sig_atomic_t alarms;
static void on_alarm(int signal) { alarms += signal == SIGALRM; }

static int check_signals(void)
{
    struct sigaction action = { .sa_handler = on_alarm, .sa_flags = SA_RESTART };
    struct itimerval soon = { { 0, 0 }, { 0, 1000 } };
    sigset_t set, before;
    EXPECT(sigaction(SIGALRM, &action, NULL) == 0);
    sigemptyset(&set);
    sigaddset(&set, SIGALRM);
    EXPECT(sigprocmask(SIG_BLOCK, &set, &before) == 0 && setitimer(ITIMER_REAL, &soon, NULL) == 0);
    while (alarms == 0) sigsuspend(&before);
    sigdelset(&before, SIGALRM);
    EXPECT(sigprocmask(SIG_SETMASK, &before, NULL) == 0);

    stack_t alternative = { .ss_sp = malloc(1 << 16), .ss_size = 1 << 16 };
    EXPECT(sigaltstack(&alternative, NULL) == 0);
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    int fd = signalfd(-1, &set, SFD_CLOEXEC);
    struct signalfd_siginfo info;
    EXPECT(sigprocmask(SIG_BLOCK, &set, NULL) == 0 && fd >= 0);
    EXPECT(sigqueue(getpid(), SIGUSR1, (union sigval){ .sival_int = 9 }) == 0);
    EXPECT(read(fd, &info, sizeof info) == sizeof info && info.ssi_signo == SIGUSR1 && info.ssi_int == 9);
    return close(fd) == 0;
}

static pthread_mutex_t shared_lock;
static int shared_count;
static void *count_up(void *unused)
{
    for (int i = 0; i < 10000; i++) {
        pthread_mutex_lock(&shared_lock);
        shared_count++;
        pthread_mutex_unlock(&shared_lock);
    }
    return unused;
}
static void *die_holding(void *lock)
{
    pthread_mutex_lock(lock);
    return NULL;
}

static int check_threads(void)
{
    pthread_mutexattr_t kind;
    pthread_t threads[8];
    pthread_mutexattr_init(&kind);
    EXPECT(pthread_mutexattr_setprotocol(&kind, PTHREAD_PRIO_INHERIT) == 0 && pthread_mutex_init(&shared_lock, &kind) == 0);
    for (int i = 0; i < 8; i++) EXPECT(pthread_create(&threads[i], NULL, count_up, NULL) == 0);
    for (int i = 0; i < 8; i++) EXPECT(pthread_join(threads[i], NULL) == 0);
    EXPECT(shared_count == 80000);

    pthread_mutex_t robust;
    pthread_mutexattr_setrobust(&kind, PTHREAD_MUTEX_ROBUST);
    EXPECT(pthread_mutex_init(&robust, &kind) == 0 && pthread_create(&threads[0], NULL, die_holding, &robust) == 0);
    EXPECT(pthread_join(threads[0], NULL) == 0 && pthread_mutex_lock(&robust) == EOWNERDEAD);
    return 1;
}

static int check_processes(void)
{
    pid_t child = fork();
    if (child == 0) execl("/proc/self/exe", "abi", "--exit-7", NULL);
    EXPECT(exits_with(child, 7));
    int pidfd;
    struct { uint64_t flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls; } clone = {
        .flags = 0x1000, .pidfd = (uintptr_t)&pidfd, .exit_signal = SIGCHLD,
    };
    child = (pid_t)syscall(SYS_clone3, &clone, sizeof clone);
    if (child == 0) {
        pause();
        _exit(1);
    }
    siginfo_t info;
    EXPECT(child > 0 && syscall(SYS_pidfd_send_signal, pidfd, SIGKILL, NULL, 0) == 0);
    EXPECT(wait_readable(pidfd) && waitid(P_PIDFD, (id_t)pidfd, &info, WEXITED) == 0 && info.si_status == SIGKILL);
    struct rlimit limit;
    struct rusage usage;
    EXPECT(getrlimit(RLIMIT_NOFILE, &limit) == 0 && getrusage(RUSAGE_CHILDREN, &usage) == 0);
    EXPECT(setpriority(PRIO_PROCESS, 0, 5) == 0 && prctl(PR_SET_CHILD_SUBREAPER, 1) == 0 && prctl(PR_SET_NAME, "abi") == 0);
    cpu_set_t cpus;
    struct sched_param first = { .sched_priority = 1 }, none = { 0 };
    EXPECT(sched_getaffinity(0, sizeof cpus, &cpus) == 0 && sched_setaffinity(0, sizeof cpus, &cpus) == 0);
    EXPECT(sched_setscheduler(0, SCHED_FIFO, &first) == 0 && sched_setscheduler(0, SCHED_OTHER, &none) == 0);
    EXPECT(syscall(SYS_kcmp, getpid(), getpid(), 0, 0, 0) == 0);
    return 1;
}

static int check_ptrace(void)
{
    pid_t child = fork();
    if (child == 0) {
        ptrace(PTRACE_TRACEME, 0, NULL, NULL);
        raise(SIGSTOP);
        _exit(3);
    }
    int status;
    EXPECT(waitpid(child, &status, 0) == child && WIFSTOPPED(status));
    EXPECT(ptrace(PTRACE_CONT, child, NULL, NULL) == 0 && exits_with(child, 3));
    return 1;
}

static int check_unix_sockets(void)
{
    int pair[2], pipes[2], received = -1;
    char text[8] = "", control[CMSG_SPACE(sizeof(int))] = "";
    EXPECT(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) == 0 && pipe2(pipes, O_CLOEXEC) == 0);
    struct iovec part = { text, 1 };
    struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control };
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    *header = (struct cmsghdr){ CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS };
    memcpy(CMSG_DATA(header), &pipes[1], sizeof(int));
    EXPECT(sendmsg(pair[0], &message, 0) == 1 && recvmsg(pair[1], &message, 0) == 1);
    memcpy(&received, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof(int));
    EXPECT(write(received, "x", 1) == 1 && read(pipes[0], text, 1) == 1 && text[0] == 'x');
    struct ucred who;
    socklen_t length = sizeof who;
    EXPECT(getsockopt(pair[0], SOL_SOCKET, SO_PEERCRED, &who, &length) == 0 && who.pid == getpid());
    struct sockaddr_un address = { .sun_family = AF_UNIX, .sun_path = "\0abstract" };
    int listener = socket(AF_UNIX, SOCK_STREAM, 0);
    EXPECT(bind(listener, (void *)&address, sizeof address) == 0 && listen(listener, 5) == 0);
    return 1;
}

static int talk_over(int family)
{
    struct sockaddr_in6 six = { .sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT };
    struct sockaddr_in four = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    struct sockaddr *address = family == AF_INET6 ? (void *)&six : (void *)&four;
    socklen_t length = family == AF_INET6 ? sizeof six : sizeof four;
    char text[4];
    int on = 1, listener = socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    EXPECT(setsockopt(listener, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on) == 0);
    EXPECT(bind(listener, address, length) == 0 && listen(listener, 511) == 0 && getsockname(listener, address, &length) == 0);
    int client = socket(family, SOCK_STREAM, 0);
    EXPECT(setsockopt(client, IPPROTO_TCP, 1 /* TCP_NODELAY */, &on, sizeof on) == 0);
    EXPECT(connect(client, address, length) == 0 && wait_readable(listener));
    int server = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    EXPECT(server >= 0 && send(client, "ping", 4, MSG_NOSIGNAL) == 4 && recv(server, text, 4, MSG_WAITALL) == 4);
    EXPECT(shutdown(client, SHUT_WR) == 0 && recv(server, text, 4, 0) == 0);
    int datagrams = socket(family, SOCK_DGRAM, 0);
    EXPECT(bind(datagrams, address, length) == 0 && sendto(datagrams, "pong", 4, 0, address, length) == 4);
    EXPECT(recv(datagrams, text, 4, 0) == 4);
    close(client), close(server), close(listener), close(datagrams);
    return 1;
}
static int check_inet(void) { return talk_over(AF_INET); }
static int check_inet6(void) { return talk_over(AF_INET6); }

static int check_netlink(void)
{
    int route = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
    struct { struct nlmsghdr header; struct rtgenmsg body; } links = {
        { sizeof links, RTM_GETLINK, NLM_F_REQUEST | NLM_F_DUMP, 1, 0 }, { AF_UNSPEC },
    };
    char answer[8192];
    EXPECT(send(route, &links, sizeof links, 0) == sizeof links && recv(route, answer, sizeof answer, 0) > 0);
    EXPECT(((struct nlmsghdr *)answer)->nlmsg_type == RTM_NEWLINK);
    int diagnosis = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
    struct { struct nlmsghdr header; struct inet_diag_req_v2 body; } sockets = {
        { sizeof sockets, SOCK_DIAG_BY_FAMILY, NLM_F_REQUEST | NLM_F_DUMP, 2, 0 },
        { .sdiag_family = AF_INET, .sdiag_protocol = IPPROTO_TCP, .idiag_states = -1U },
    };
    EXPECT(send(diagnosis, &sockets, sizeof sockets, 0) == sizeof sockets && recv(diagnosis, answer, sizeof answer, 0) > 0);
    EXPECT(((struct nlmsghdr *)answer)->nlmsg_type != NLMSG_ERROR);
    return close(route) == 0 && close(diagnosis) == 0;
}

static int check_sysv(void)
{
    int memory = shmget(IPC_PRIVATE, 1 << 20, IPC_CREAT | 0600), semaphores = semget(IPC_PRIVATE, 1, 0600);
    int queue = msgget(IPC_PRIVATE, 0600);
    char *bytes = shmat(memory, NULL, 0);
    struct { long type; char text[4]; } message = { 1, "abc" };
    struct sembuf up = { 0, 1, 0 };
    EXPECT(bytes != (void *)-1 && semop(semaphores, &up, 1) == 0);
    pid_t child = fork();
    if (child == 0) {
        strcpy(bytes, "shared");
        _exit(msgsnd(queue, &message, sizeof message.text, 0) == 0 ? 0 : 1);
    }
    EXPECT(exits_with(child, 0) && strcmp(bytes, "shared") == 0);
    EXPECT(msgrcv(queue, &message, sizeof message.text, 1, 0) == sizeof message.text);
    return shmdt(bytes) == 0 && shmctl(memory, IPC_RMID, NULL) == 0 && msgctl(queue, IPC_RMID, NULL) == 0;
}

static int check_posix_ipc(void)
{
    int memory = shm_open("/abi", O_RDWR | O_CREAT | O_EXCL, 0600);
    EXPECT(memory >= 0 && ftruncate(memory, 4096) == 0 && shm_unlink("/abi") == 0);
    sem_t *semaphore = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, memory, 0);
    EXPECT(semaphore != MAP_FAILED && sem_init(semaphore, 1, 0) == 0);
    pid_t child = fork();
    if (child == 0) _exit(sem_post(semaphore) == 0 ? 0 : 1);
    EXPECT(sem_wait(semaphore) == 0 && exits_with(child, 0));
    struct mq_attr attributes = { .mq_maxmsg = 4, .mq_msgsize = 16 };
    char text[16];
    mqd_t queue = mq_open("/abi", O_RDWR | O_CREAT, 0600, &attributes);
    EXPECT(queue != (mqd_t)-1 && mq_send(queue, "hi", 3, 1) == 0 && mq_receive(queue, text, 16, NULL) == 3);
    return mq_unlink("/abi") == 0;
}

static int check_memory(void)
{
    int file = memfd_create("abi", MFD_ALLOW_SEALING | MFD_CLOEXEC);
    EXPECT(file >= 0 && ftruncate(file, 8192) == 0 && fcntl(file, F_ADD_SEALS, F_SEAL_SHRINK) == 0);
    EXPECT(ftruncate(file, 0) == -1 && errno == EPERM);
    size_t size = 4 << 20;
    char *bytes = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    unsigned char resident[1024];
    EXPECT(bytes != MAP_FAILED && madvise(bytes, size, MADV_HUGEPAGE) == 0);
    memset(bytes, 1, size);
    EXPECT(madvise(bytes, size, MADV_DONTNEED) == 0 && bytes[0] == 0 && madvise(bytes, size, MADV_FREE) == 0);
    EXPECT(mincore(bytes, size, resident) == 0 && mlock(bytes, 4096) == 0 && mprotect(bytes, 4096, PROT_READ) == 0);
    EXPECT(munlock(bytes, 4096) == 0 && mprotect(bytes, 4096, PROT_READ | PROT_WRITE) == 0);
    EXPECT(mremap(bytes, size, 2 * size, MREMAP_MAYMOVE) != MAP_FAILED);
    EXPECT(syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0) == 0);
    EXPECT(syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0) == 0);
    /* Registered by the C library already, so that another one is refused, and not unknown. */
    EXPECT(syscall(SYS_rseq, NULL, 0, 0, 0) == -1 && errno != ENOSYS);
    char from[4] = "far", to[4] = "";
    struct iovec remote = { from, 4 }, local = { to, 4 };
    EXPECT(process_vm_readv(getpid(), &local, 1, &remote, 1, 0) == 4 && strcmp(to, "far") == 0);
    EXPECT(syscall(SYS_userfaultfd, O_CLOEXEC | UFFD_USER_MODE_ONLY) >= 0);
    EXPECT(getrandom(from, 4, GRND_NONBLOCK) == 4);
    return close(file) == 0;
}

static int check_files(void)
{
    int file = open("/tmp/abi", O_RDWR | O_CREAT | O_TRUNC, 0600), other = open("/tmp/abi", O_RDWR);
    int copy = open("/tmp", O_TMPFILE | O_RDWR, 0600), pipes[2], watch = inotify_init1(IN_CLOEXEC);
    struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
    char text[512];
    EXPECT(file >= 0 && other >= 0 && copy >= 0 && inotify_add_watch(watch, "/tmp", IN_CREATE | IN_MODIFY) >= 0);
    EXPECT(fallocate(file, 0, 0, 65536) == 0 && fallocate(file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096) == 0);
    EXPECT(pwrite(file, "hello", 5, 0) == 5 && fsync(file) == 0 && wait_readable(watch));
    EXPECT(flock(file, LOCK_EX) == 0 && flock(other, LOCK_EX | LOCK_NB) == -1 && errno == EWOULDBLOCK);
    EXPECT(fcntl(file, F_OFD_SETLK, &lock) == 0 && fcntl(other, F_OFD_SETLK, &lock) == -1 && errno == EAGAIN);
    EXPECT(copy_file_range(file, &(off_t){ 0 }, copy, &(off_t){ 0 }, 5, 0) == 5);
    EXPECT(pipe(pipes) == 0 && splice(file, &(off_t){ 0 }, pipes[1], NULL, 5, 0) == 5 && read(pipes[0], text, 5) == 5);
    EXPECT(sendfile(pipes[1], file, &(off_t){ 0 }, 5) == 5 && memcmp(text, "hello", 5) == 0);
    EXPECT(setxattr("/tmp/abi", "trusted.abi", "v", 1, 0) == 0 && getxattr("/tmp/abi", "trusted.abi", text, 8) == 1);
    struct statx status;
    EXPECT(statx(AT_FDCWD, "/tmp/abi", 0, STATX_ALL, &status) == 0 && status.stx_size == 65536);
    EXPECT(renameat2(AT_FDCWD, "/tmp/abi", AT_FDCWD, "/tmp/abi2", RENAME_NOREPLACE) == 0 && unlink("/tmp/abi2") == 0);
    EXPECT(syscall(SYS_close_range, 900, 1000, 0) == 0 && syscall(SYS_openat2, AT_FDCWD, "/", &(uint64_t[3]){ O_PATH }, 24) >= 0);
    return 1;
}

static int check_aio(void)
{
    aio_context_t context = 0;
    char text[5] = "";
    int file = open("/tmp/aio", O_RDWR | O_CREAT, 0600);
    EXPECT(write(file, "hello", 5) == 5 && syscall(SYS_io_setup, 8, &context) == 0);
    struct iocb read = { .aio_lio_opcode = IOCB_CMD_PREAD, .aio_fildes = (uint32_t)file, .aio_buf = (uintptr_t)text, .aio_nbytes = 5 };
    struct iocb *list[] = { &read };
    struct io_event done;
    EXPECT(syscall(SYS_io_submit, context, 1, list) == 1 && syscall(SYS_io_getevents, context, 1, 1, &done, NULL) == 1);
    EXPECT(done.res == 5 && memcmp(text, "hello", 5) == 0);
    return syscall(SYS_io_destroy, context) == 0;
}

static int check_seccomp(void)
{
    pid_t child = fork();
    if (child == 0) {
        struct sock_filter program[] = {
            BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
            BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_getppid, 0, 1),
            BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EDOM),
            BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
        };
        struct sock_fprog filter = { 4, program };
        if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) _exit(1);
        if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &filter) != 0) _exit(2);
        _exit(syscall(SYS_getppid) == -1 && errno == EDOM ? 0 : 3);
    }
    EXPECT(exits_with(child, 0));
    return 1;
}

static int check_namespaces(void)
{
    pid_t child = fork();
    if (child == 0) {
        int all = CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWPID | CLONE_NEWUSER | CLONE_NEWNET;
        if (unshare(all) != 0 || sethostname("other", 5) != 0) _exit(1);
        pid_t inner = fork();
        if (inner == 0) _exit(getpid() == 1 ? 5 : 6);
        _exit(exits_with(inner, 5) ? 0 : 2);
    }
    EXPECT(exits_with(child, 0));
    return 1;
}

static int check_mounts(void)
{
    EXPECT(mkdir("/tmp/m", 0755) == 0 && mount("none", "/tmp/m", "tmpfs", MS_NOSUID, "size=1m") == 0);
    EXPECT(mkdir("/tmp/m/lower", 0755) == 0 && mkdir("/tmp/m/upper", 0755) == 0);
    EXPECT(mkdir("/tmp/m/work", 0755) == 0 && mkdir("/tmp/m/over", 0755) == 0);
    const char *layers = "lowerdir=/tmp/m/lower,upperdir=/tmp/m/upper,workdir=/tmp/m/work";
    EXPECT(mount("none", "/tmp/m/over", "overlay", 0, layers) == 0 && mkdir("/tmp/m/over/new", 0755) == 0);
    EXPECT(access("/tmp/m/upper/new", F_OK) == 0 && mkdir("/tmp/m/groups", 0755) == 0);
    EXPECT(mount("none", "/tmp/m/groups", "cgroup2", 0, "") == 0 && access("/tmp/m/groups/cgroup.controllers", R_OK) == 0);
    return umount("/tmp/m/groups") == 0 && umount("/tmp/m/over") == 0 && umount("/tmp/m") == 0;
}

static int check_terminal(void)
{
    int master, status;
    char text[16];
    pid_t child = forkpty(&master, NULL, NULL, &(struct winsize){ 24, 80, 0, 0 });
    if (child == 0) _exit(isatty(0) && write(1, "tty", 3) == 3 ? 0 : 1);
    EXPECT(child > 0 && wait_readable(master) && read(master, text, 3) == 3 && memcmp(text, "tty", 3) == 0);
    EXPECT(waitpid(child, &status, 0) == child && status == 0);
    return close(master) == 0;
}

static int check_core_dump(void)
{
    int pattern = open("/proc/sys/kernel/core_pattern", O_WRONLY);
    struct rlimit all = { RLIM_INFINITY, RLIM_INFINITY };
    struct stat core;
    EXPECT(pattern >= 0 && write(pattern, "/tmp/core.%e", 12) == 12 && setrlimit(RLIMIT_CORE, &all) == 0);
    pid_t child = fork();
    if (child == 0) abort();
    int status;
    EXPECT(waitpid(child, &status, 0) == child && WIFSIGNALED(status) && WCOREDUMP(status));
    EXPECT(stat("/tmp/core.abi", &core) == 0 && core.st_size > 4096 && unlink("/tmp/core.abi") == 0);
    return 1;
}

/* Left out on purpose: attack surface that servers do without. */
static int check_left_out(void)
{
    EXPECT(syscall(SYS_io_uring_setup, 1, NULL) == -1 && errno == ENOSYS);
    EXPECT(syscall(SYS_bpf, 0, NULL, 0) == -1 && errno == ENOSYS);
    EXPECT(syscall(SYS_init_module, NULL, 0, "") == -1 && errno == ENOSYS);
    EXPECT(syscall(SYS_kexec_load, 0, 0, NULL, 0) == -1 && errno == ENOSYS);
    EXPECT(access("/dev/mem", F_OK) == -1 && access("/proc/kcore", F_OK) == -1);
    return 1;
}

static const struct {
    const char *name;
    int (*run)(void);
} checks[] = {
    { "epoll", check_epoll },           { "timers", check_timers },       { "signals", check_signals },
    { "threads", check_threads },       { "processes", check_processes }, { "ptrace", check_ptrace },
    { "unix-sockets", check_unix_sockets }, { "inet", check_inet },       { "inet6", check_inet6 },
    { "netlink", check_netlink },       { "sysv", check_sysv },           { "posix-ipc", check_posix_ipc },
    { "memory", check_memory },         { "files", check_files },         { "aio", check_aio },
    { "seccomp", check_seccomp },       { "namespaces", check_namespaces }, { "mounts", check_mounts },
    { "terminal", check_terminal },     { "core-dump", check_core_dump }, { "left-out", check_left_out },
};

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "--exit-7") == 0) return 7;
    int failed = 0;
    setvbuf(stdout, NULL, _IOLBF, 0);
    for (size_t i = 0; i < sizeof checks / sizeof checks[0]; i++) {
        why[0] = '\0';
        errno = 0;
        if (checks[i].run()) {
            printf("ok %s\n", checks[i].name);
            continue;
        }
        failed++;
        printf("FAIL %s: %s\n", checks[i].name, why);
    }
    return failed;
}
