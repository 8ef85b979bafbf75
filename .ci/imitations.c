/* Imitates other systems' sockets on Linux, for a program that is started with LD_PRELOAD.
 *
 * IMITATE names what is imitated, separated by commas:
 *
 * inherit   An accepted socket has its listener's nonblocking mode (macOS, Windows).
 * unnamed   A client over IPv6 that has left before it was accepted has no address (macOS, if it has reset).
 * refuse    Once both directions have ended, from whichever side, every setsockopt fails (macOS).
 * early     Once the server has ended its writing side, every setsockopt fails (illumos).
 * gone      A shutdown fails with ENOTCONN if reading has ended, from whichever side, and then leaves writing as it
 *           is. It also fails if writing has ended (macOS).
 * discard   Ending the reading side discards what has come and what comes later (macOS, the BSDs, illumos).
 * asleep    A shutdown wakes no read that is already blocked (Windows).
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

static int inherit, unnamed, refuse, early, gone, discard, asleep;

/* Which directions of the sockets that were accepted have been shut down. The test's clients, in the same process, are
 * left alone. Sockets are told by their inode, as a clone has another descriptor. Nobody sees here when the last
 * descriptor is closed, so old entries are overwritten. */
#define ENTRIES 65536
struct ended { ino_t inode; int reading, writing; };
static struct ended ended[ENTRIES];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

#define REAL(name) static __typeof__(name) *real; if (!real) real = dlsym(RTLD_NEXT, #name)

__attribute__((constructor)) static void begin(void) {
    const char *names = getenv("IMITATE");
    if (!names) return;
    inherit = strstr(names, "inherit") != 0;
    unnamed = strstr(names, "unnamed") != 0;
    refuse = strstr(names, "refuse") != 0;
    early = strstr(names, "early") != 0;
    gone = strstr(names, "gone") != 0;
    discard = strstr(names, "discard") != 0;
    asleep = strstr(names, "asleep") != 0;
}

static ino_t inode_of(int fd) {
    struct stat stat;
    return fstat(fd, &stat) == 0 && S_ISSOCK(stat.st_mode) ? stat.st_ino : 0;
}

/* Called with the lock. */
static struct ended *find(ino_t inode) {
    struct ended *entry = &ended[inode % ENTRIES];
    return entry->inode == inode ? entry : 0;
}

static struct ended state_of(int fd) {
    struct ended state = {0};
    ino_t inode = inode_of(fd);
    if (!inode) return state;
    pthread_mutex_lock(&lock);
    struct ended *entry = find(inode);
    if (entry) state = *entry;
    pthread_mutex_unlock(&lock);
    return state;
}

static void add(int fd) {
    ino_t inode = inode_of(fd);
    pthread_mutex_lock(&lock);
    ended[inode % ENTRIES] = (struct ended){.inode = inode};
    pthread_mutex_unlock(&lock);
}

/* Notes which directions have been shut down, of a socket that was accepted. */
static void end(int fd, int reading, int writing) {
    ino_t inode = inode_of(fd);
    pthread_mutex_lock(&lock);
    struct ended *entry = find(inode);
    if (entry) {
        entry->reading |= reading;
        entry->writing |= writing;
    }
    pthread_mutex_unlock(&lock);
}

/* A new socket may have the inode of one that was accepted. */
static void forget(int fd) {
    ino_t inode = inode_of(fd);
    pthread_mutex_lock(&lock);
    struct ended *entry = find(inode);
    if (entry) *entry = (struct ended){0};
    pthread_mutex_unlock(&lock);
}

int socket(int domain, int type, int protocol) {
    REAL(socket);
    int fd = real(domain, type, protocol);
    if (fd >= 0) forget(fd);
    return fd;
}

int accept4(int listener, struct sockaddr *address, socklen_t *length, int flags) {
    REAL(accept4);
    struct sockaddr_storage storage;
    socklen_t size = sizeof storage;
    int fd = real(listener, (struct sockaddr *)&storage, &size, flags);
    if (fd < 0) return fd;
    add(fd);
    if (inherit && fcntl(listener, F_GETFL) & O_NONBLOCK) fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
    struct pollfd client = {.fd = fd, .events = POLLRDHUP};
    int queued = 0;
    ioctl(fd, FIONREAD, &queued);
    if (!address) return fd;
    memcpy(address, &storage, size < *length ? size : *length);
    *length = size;
    if (unnamed && storage.ss_family == AF_INET6 && queued == 0 && poll(&client, 1, 0) == 1) {
        /* The system writes no address. This is what may stand there from the client before. */
        *length = 0;
    }
    return fd;
}

int setsockopt(int fd, int level, int name, const void *value, socklen_t length) {
    REAL(setsockopt);
    struct ended state = state_of(fd);
    struct pollfd peer = {.fd = fd, .events = POLLRDHUP};
    if (refuse && state.inode && poll(&peer, 1, 0) == 1) {
        state.reading |= (peer.revents & (POLLRDHUP | POLLHUP | POLLERR)) != 0;
        state.writing |= (peer.revents & (POLLHUP | POLLERR)) != 0;
    }
    if ((refuse && state.reading && state.writing) || (early && state.writing)) {
        errno = EINVAL;
        return -1;
    }
    return real(fd, level, name, value, length);
}

int shutdown(int fd, int how) {
    REAL(shutdown);
    struct ended state = state_of(fd);
    struct pollfd peer = {.fd = fd, .events = POLLRDHUP};
    int reading = how != SHUT_WR, writing = how != SHUT_RD;
    if (!state.inode) return real(fd, how);
    if (gone && poll(&peer, 1, 0) == 1) state.reading |= (peer.revents & (POLLRDHUP | POLLHUP)) != 0;
    if (gone && ((reading && state.reading) || (writing && state.writing))) {
        /* Reading comes first. If it had ended before, writing goes on. */
        if (reading && !state.reading) {
            end(fd, 1, 0);
            real(fd, SHUT_RD);
        }
        errno = ENOTCONN;
        return -1;
    }
    end(fd, reading, writing);
    if (asleep && reading) return writing ? real(fd, SHUT_WR) : 0;
    return real(fd, how);
}

ssize_t recv(int fd, void *bytes, size_t length, int flags) {
    REAL(recv);
    if (!state_of(fd).reading) return real(fd, bytes, length, flags);
    if (discard) {
        char discarded[4096];
        while (real(fd, discarded, sizeof discarded, MSG_DONTWAIT) > 0) {}
        return 0;
    }
    if (asleep) return 0;
    return real(fd, bytes, length, flags);
}
