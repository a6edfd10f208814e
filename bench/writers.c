// SPDX-License-Identifier: Apache-2.0
//
// Writers that notice how long they are held up, one thread a file.
//
//   writers small FILE...           4 KiB every 2 ms, round and round in the first MiB of the file
//   writers stream MIB RATE FILE    1 MiB blocks, round and round in MIB; says "go" after the first
//                                   round; from there on at RATE MiB a second (0: no limit)
//
// `small` says "go" as soon as every thread has written once. Both end at end of file on standard
// input and then print, for every write that took longer than a millisecond, `index begin end` in
// nanoseconds of CLOCK_MONOTONIC.

#define _GNU_SOURCE

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { kMaxStalls = 1 << 16, kMiB = 1 << 20 };

struct stall {
  long long begin;
  long long end;
};

struct writer {
  pthread_t thread;
  int fd;
  size_t block;        // bytes a write
  long long area;      // bytes after which the offset starts again
  long long announce;  // bytes after which "go" is due
  long long pause_ns;  // between two writes, once "go" was said
  struct stall* stalls;
  int stall_count;
};

static atomic_int stop;
static atomic_int not_yet_going;

static long long now_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static void* run_writer(void* argument) {
  struct writer* writer = argument;
  char* buffer = malloc(writer->block);
  if (buffer == NULL) abort();
  memset(buffer, 'w', writer->block);
  long long written = 0;
  int going = 0;
  while (!stop) {
    const long long begin = now_ns();
    if (pwrite(writer->fd, buffer, writer->block, written % writer->area) != (ssize_t)writer->block) {
      perror("writers: pwrite");
      exit(1);
    }
    const long long end = now_ns();
    written += (long long)writer->block;
    if (end - begin > 1000000 && writer->stall_count < kMaxStalls)
      writer->stalls[writer->stall_count++] = (struct stall){begin, end};
    if (!going && written >= writer->announce) {
      going = 1;
      if (atomic_fetch_sub(&not_yet_going, 1) == 1 && write(STDOUT_FILENO, "go\n", 3) != 3) exit(1);
    }
    if (going && writer->pause_ns > 0) {
      const long long pause = writer->pause_ns - (end - begin);
      if (pause > 0) nanosleep(&(struct timespec){pause / 1000000000, pause % 1000000000}, NULL);
    }
  }
  free(buffer);
  return NULL;
}

int main(int argc, char** argv) {
  struct writer model = {.block = 4096, .area = kMiB, .announce = 1, .pause_ns = 2000000};
  int first_file = 2;
  if (argc == 5 && strcmp(argv[1], "stream") == 0) {
    const int rate = atoi(argv[3]);
    model.block = kMiB;
    model.area = model.announce = atoll(argv[2]) * kMiB;
    model.pause_ns = rate > 0 ? 1000000000LL / rate : 0;
    first_file = 4;
  } else if (argc < 3 || strcmp(argv[1], "small") != 0) {
    fprintf(stderr, "usage: writers small FILE... | stream MIB RATE FILE\n");
    return 1;
  }
  const int count = argc - first_file;
  struct writer* writers = calloc((size_t)count, sizeof *writers);
  if (writers == NULL) return 1;
  not_yet_going = count;
  for (int i = 0; i < count; i++) {
    writers[i] = model;
    writers[i].fd = open(argv[first_file + i], O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    writers[i].stalls = calloc(kMaxStalls, sizeof *writers[i].stalls);  // touched only as far as it is used
    if (writers[i].fd < 0 || writers[i].stalls == NULL) {
      fprintf(stderr, "writers: %s: %s\n", argv[first_file + i], strerror(errno));
      return 1;
    }
  }
  for (int i = 0; i < count; i++)
    if (pthread_create(&writers[i].thread, NULL, run_writer, &writers[i]) != 0) return 1;
  char byte;
  while (read(STDIN_FILENO, &byte, 1) > 0) {
  }
  stop = 1;
  for (int i = 0; i < count; i++) pthread_join(writers[i].thread, NULL);
  for (int i = 0; i < count; i++)
    for (int s = 0; s < writers[i].stall_count; s++)
      printf("%d %lld %lld\n", i, writers[i].stalls[s].begin, writers[i].stalls[s].end);
  return 0;
}
