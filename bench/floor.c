// SPDX-License-Identifier: Apache-2.0
//
// The parallel floor: what any program must at least spend to freeze these filesystems in a
// considerate way. It finds nothing out, protects nothing and reports to nobody; it only issues the
// calls, one thread a filesystem.
//
//   floor freeze M...           syncfs on all at once; when the last has returned, FIFREEZE on all
//   floor freeze-nosync M...    FIFREEZE on all at once
//   floor thaw M...             FITHAW on all at once
//
// Prints one line of durations in microseconds (CLOCK_MONOTONIC). Exit 0: done. Exit 1: something
// failed, said on stderr; a freeze that failed has thawed what it froze itself.

#define _GNU_SOURCE

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

enum operation { op_sync, op_freeze, op_thaw };

struct task {
  pthread_t thread;
  const char* mount_point;
  int fd;
  enum operation operation;
  int error;  // errno of the operation, 0 if it succeeded
};

static long long now_us(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1000000LL + t.tv_nsec / 1000;
}

static void* run_task(void* argument) {
  struct task* task = argument;
  int result = 0;
  switch (task->operation) {
    case op_sync:
      result = syncfs(task->fd);
      break;
    case op_freeze:
      result = ioctl(task->fd, FIFREEZE, 0);
      break;
    case op_thaw:
      result = ioctl(task->fd, FITHAW, 0);
      break;
  }
  task->error = result < 0 ? errno : 0;
  return NULL;
}

// Runs one operation on all filesystems at once. Returns its duration in microseconds.
static long long run_all(struct task* tasks, int count, enum operation operation) {
  const long long start = now_us();
  for (int i = 0; i < count; i++) {
    tasks[i].operation = operation;
    if (pthread_create(&tasks[i].thread, NULL, run_task, &tasks[i]) != 0) {
      run_task(&tasks[i]);
      tasks[i].thread = 0;
    }
  }
  for (int i = 0; i < count; i++)
    if (tasks[i].thread != 0) pthread_join(tasks[i].thread, NULL);
  return now_us() - start;
}

static int report_errors(const struct task* tasks, int count, const char* what) {
  int failures = 0;
  for (int i = 0; i < count; i++) {
    if (tasks[i].error == 0) continue;
    fprintf(stderr, "floor: %s: %s: %s\n", tasks[i].mount_point, what, strerror(tasks[i].error));
    failures++;
  }
  return failures;
}

int main(int argc, char** argv) {
  const long long start = now_us();
  const char* verb = argc > 2 ? argv[1] : "";
  const int count = argc - 2;
  const int with_sync = strcmp(verb, "freeze") == 0;
  const int freeze = with_sync || strcmp(verb, "freeze-nosync") == 0;
  if (!freeze && strcmp(verb, "thaw") != 0) {
    fprintf(stderr, "usage: floor freeze|freeze-nosync|thaw MOUNTPOINT...\n");
    return 1;
  }
  struct task* tasks = calloc((size_t)count, sizeof *tasks);
  if (tasks == NULL) return 1;
  for (int i = 0; i < count; i++) {
    tasks[i].mount_point = argv[i + 2];
    tasks[i].fd = open(tasks[i].mount_point, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (tasks[i].fd < 0) {
      fprintf(stderr, "floor: %s: open: %s\n", tasks[i].mount_point, strerror(errno));
      return 1;
    }
  }
  const long long opened = now_us();

  if (!freeze) {
    const long long thaw_us = run_all(tasks, count, op_thaw);
    printf("open=%lld thaw=%lld total=%lld\n", opened - start, thaw_us, now_us() - start);
    return report_errors(tasks, count, "FITHAW") != 0;
  }

  const long long sync_us = with_sync ? run_all(tasks, count, op_sync) : 0;
  if (with_sync && report_errors(tasks, count, "syncfs") != 0) return 1;
  const long long freeze_us = run_all(tasks, count, op_freeze);
  if (report_errors(tasks, count, "FIFREEZE") != 0) {
    for (int i = 0; i < count; i++)
      if (tasks[i].error == 0) ioctl(tasks[i].fd, FITHAW, 0);
    return 1;
  }
  printf("open=%lld syncfs=%lld freeze=%lld total=%lld\n", opened - start, sync_us, freeze_us, now_us() - start);
  return 0;
}
