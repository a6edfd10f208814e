// SPDX-License-Identifier: Apache-2.0
//
// The safety net under the benchmark: whatever happens to it, nothing stays frozen. A process of
// its own that opens its descriptors before anything is frozen and afterwards opens, executes and
// logs nothing.
//
//   safety_thaw M...     with a socket as standard input and output
//
// Speaks lines: it says "ready" once; "arm SECONDS" -> "armed"; "disarm" -> "disarmed", or "fired"
// if it has thawed since it was armed. It thaws everything when the armed time is over, and at end
// of file, which is the death of the one it protects. A disarmed one never thaws, so that it cannot
// hit a later round.

#define _GNU_SOURCE

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

static long long now_ms(void) {
  struct timespec t;
  clock_gettime(CLOCK_BOOTTIME, &t);
  return t.tv_sec * 1000LL + t.tv_nsec / 1000000;
}

static void say(const char* line) {
  if (write(STDOUT_FILENO, line, strlen(line)) < 0) return;  // end of file will be seen by the next read
}

static void* thaw(void* fd) {
  (void)ioctl(*(const int*)fd, FITHAW, 0);  // EINVAL: it was not frozen
  return NULL;
}

// One thread each: a FITHAW waits behind a FIFREEZE that hangs, and must not hold up the others.
static void thaw_all(int* fds, int count) {
  for (int i = 0; i < count; i++) {
    pthread_t thread;
    if (pthread_create(&thread, NULL, thaw, &fds[i]) != 0)
      thaw(&fds[i]);
    else
      pthread_detach(thread);
  }
}

int main(int argc, char** argv) {
  const int count = argc - 1;
  int* fds = calloc((size_t)count + 1, sizeof *fds);
  if (fds == NULL) return 1;
  for (int i = 0; i < count; i++) {
    fds[i] = open(argv[i + 1], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fds[i] < 0) {
      fprintf(stderr, "safety_thaw: %s: %s\n", argv[i + 1], strerror(errno));
      return 1;
    }
  }
  setsid();
  const int ignored[] = {SIGHUP, SIGINT, SIGTERM, SIGPIPE};
  for (size_t i = 0; i < sizeof ignored / sizeof *ignored; i++) signal(ignored[i], SIG_IGN);
  if (mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT) != 0) perror("safety_thaw: mlockall");
  say("ready\n");

  int armed = 0;
  int fired = 0;
  long long deadline = 0;
  for (;;) {
    struct pollfd in = {.fd = STDIN_FILENO, .events = POLLIN};
    long long left = armed ? deadline - now_ms() : -1;
    if (armed && left < 0) left = 0;
    const int events = poll(&in, 1, (int)left);
    if (events < 0 && errno == EINTR) continue;
    if (events == 0) {
      thaw_all(fds, count);
      armed = 0;
      fired = 1;
      continue;
    }
    char line[64];
    const ssize_t length = read(STDIN_FILENO, line, sizeof line - 1);
    if (length <= 0) {
      thaw_all(fds, count);
      pthread_exit(NULL);  // the process ends with its last thawing thread
    }
    line[length] = '\0';
    if (strncmp(line, "arm ", 4) == 0) {
      deadline = now_ms() + 1000LL * atoi(line + 4);
      armed = 1;
      fired = 0;
      say("armed\n");
    } else if (strncmp(line, "disarm", 6) == 0) {
      armed = 0;
      say(fired ? "fired\n" : "disarmed\n");
    }
  }
}
