/* The floor under a merge: as many bytes moved through the system, with nothing computed.
 *
 * Reads every cache line of each sft file, and writes a file of the same size made of the aligned file's bytes, or
 * several of them.
 * What a merge takes longer than this is the price of its arithmetic, digests, statistics and care.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MAX_FILES = 4096, MAX_THREADS = 1024, MAX_COPIES = 32, CACHE_LINE = 64 };
static const size_t SLICE = (size_t)64 << 20;
static const size_t BLOCK = (size_t)256 << 10;
static const char SUFFIX[] = ".safetensors";

static const char USAGE[] =
    "usage: floor [--threads N] [--sync] [--read mmap|pread] [--write direct|buffer] [--copies N] SFT_DIR ALIGNED_DIR OUTPUT_DIR\n"
    "  --threads N    threads that share the slices of 64 MiB (default: 1)\n"
    "  --sync         start write-back of each slice when it is written, and end with fdatasync and fsync\n"
    "  --read WAY     mmap: through mappings of whole files; pread: into a buffer that stays in the cache (default: mmap)\n"
    "  --write WAY    direct: pwrite from the mapping; buffer: copy to the buffer, and pwrite that (default: buffer)\n"
    "  --copies N     write N outputs, in folders of their own in OUTPUT_DIR, from one read (default: one, in OUTPUT_DIR)\n"
    "OUTPUT_DIR is made; the *.safetensors files of the two folders are paired in the order of their names.\n";

struct pair {
  struct input { const uint8_t *bytes; int descriptor; } sft, aligned;
  size_t size;
  size_t first_slice; /* number of slices in the files before this one */
  int outputs[MAX_COPIES];
};

static struct pair pairs[MAX_FILES];
static size_t pair_count, slice_count;
static size_t copy_count = 1;
static bool sync_wanted, use_mapping = true, use_buffer = true;
static atomic_size_t next_slice;
static atomic_uint sink; /* keeps the compiler from dropping the reads of sft */

static void die(const char *what, const char *path) {
  fprintf(stderr, "floor: %s %s: %s\n", what, path, strerror(errno));
  exit(74);
}

static void refuse(const char *message) {
  fprintf(stderr, "floor: %s\n", message);
  exit(64);
}

static int is_weights(const struct dirent *entry) {
  size_t length = strlen(entry->d_name), suffix = sizeof SUFFIX - 1;
  return length > suffix && strcmp(entry->d_name + length - suffix, SUFFIX) == 0;
}

static int list(const char *folder, struct dirent ***names) {
  int count = scandir(folder, names, is_weights, alphasort);
  if (count < 0) die("cannot list", folder);
  return count;
}

static int open_at(const char *folder, const char *name, int flags) {
  char path[4096];
  if (snprintf(path, sizeof path, "%s/%s", folder, name) >= (int)sizeof path) refuse("a path is too long");
  int descriptor = open(path, flags | O_CLOEXEC, 0644);
  if (descriptor < 0) die("cannot open", path);
  return descriptor;
}

static struct input open_input(const char *folder, const char *name, size_t *size) {
  int descriptor = open_at(folder, name, O_RDONLY);
  struct stat status;
  if (fstat(descriptor, &status) != 0) die("cannot stat", name);
  if (status.st_size == 0) refuse("an input file is empty");
  *size = (size_t)status.st_size;
  if (!use_mapping) return (struct input){NULL, descriptor};
  void *address = mmap(NULL, *size, PROT_READ, MAP_SHARED, descriptor, 0);
  if (address == MAP_FAILED) die("cannot map", name);
  if (madvise(address, *size, MADV_SEQUENTIAL) != 0) die("cannot advise on", name);
  return (struct input){address, descriptor};
}

/* The folder that a copy goes to. */
static void name_copy(char *path, size_t size, const char *output, size_t copy) {
  int length = copy_count == 1 ? snprintf(path, size, "%s", output) : snprintf(path, size, "%s/copy-%zu", output, copy);
  if (length >= (int)size) refuse("a path is too long");
}

static void open_pairs(const char *sft, const char *aligned, const char *output) {
  struct dirent **sft_names, **aligned_names;
  int count = list(aligned, &aligned_names);
  if (list(sft, &sft_names) != count) refuse("the folders hold different numbers of .safetensors files");
  if (count == 0 || count > MAX_FILES) refuse("the folders hold no .safetensors files, or too many");
  if (mkdir(output, 0755) != 0) die("cannot make", output);
  char folder[4096];
  for (size_t copy = 0; copy < copy_count && copy_count > 1; copy++) {
    name_copy(folder, sizeof folder, output, copy);
    if (mkdir(folder, 0755) != 0) die("cannot make", folder);
  }
  for (int i = 0; i < count; i++) {
    struct pair *pair = &pairs[pair_count++];
    size_t sft_size;
    pair->sft = open_input(sft, sft_names[i]->d_name, &sft_size);
    pair->aligned = open_input(aligned, aligned_names[i]->d_name, &pair->size);
    if (sft_size != pair->size) refuse("the files of a pair differ in size");
    for (size_t copy = 0; copy < copy_count; copy++) {
      name_copy(folder, sizeof folder, output, copy);
      pair->outputs[copy] = open_at(folder, aligned_names[i]->d_name, O_WRONLY | O_CREAT | O_EXCL);
      if (fallocate(pair->outputs[copy], 0, 0, (off_t)pair->size) != 0 && errno != EOPNOTSUPP)
        die("cannot reserve space for", aligned_names[i]->d_name);
    }
    pair->first_slice = slice_count;
    slice_count += (pair->size + SLICE - 1) / SLICE;
  }
}

static unsigned touch(const uint8_t *bytes, size_t count) {
  unsigned sum = 0;
  for (size_t i = 0; i < count; i += CACHE_LINE) sum += bytes[i];
  return sum;
}

/* Returns the bytes of a slice of a file: where they are mapped, or in the buffer. */
static const uint8_t *read_block(struct input input, uint8_t *buffer, size_t count, size_t offset) {
  if (use_mapping) return input.bytes + offset;
  for (size_t done = 0; done < count;) {
    ssize_t got = pread(input.descriptor, buffer + done, count - done, (off_t)(offset + done));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) die("cannot read", "an input");
    if (got == 0) refuse("an input became shorter");
    done += (size_t)got;
  }
  return buffer;
}

static void write_all(int descriptor, const uint8_t *bytes, size_t count, size_t offset) {
  while (count > 0) {
    ssize_t written = pwrite(descriptor, bytes, count, (off_t)offset);
    if (written < 0) {
      if (errno == EINTR) continue;
      die("cannot write", "the output");
    }
    bytes += written;
    count -= (size_t)written;
    offset += (size_t)written;
  }
}

static void *work(void *unused) {
  (void)unused;
  uint8_t *buffer = aligned_alloc(4096, BLOCK);
  if (buffer == NULL) die("cannot allocate", "a buffer");
  unsigned sum = 0;
  size_t slice;
  while ((slice = atomic_fetch_add(&next_slice, 1)) < slice_count) {
    size_t file = pair_count - 1;
    while (pairs[file].first_slice > slice) file--;
    const struct pair *pair = &pairs[file];
    size_t start = (slice - pair->first_slice) * SLICE;
    size_t end = pair->size - start < SLICE ? pair->size : start + SLICE;
    for (size_t offset = start; offset < end; offset += BLOCK) {
      size_t count = end - offset < BLOCK ? end - offset : BLOCK;
      sum += touch(read_block(pair->sft, buffer, count, offset), count);
      const uint8_t *bytes = read_block(pair->aligned, buffer, count, offset);
      if (use_buffer && bytes != buffer) bytes = memcpy(buffer, bytes, count);
      for (size_t copy = 0; copy < copy_count; copy++) write_all(pair->outputs[copy], bytes, count, offset);
    }
    for (size_t copy = 0; copy < copy_count; copy++)
      if (sync_wanted && sync_file_range(pair->outputs[copy], (off_t)start, (off_t)(end - start), SYNC_FILE_RANGE_WRITE) != 0)
        die("cannot start write-back of", "the output");
  }
  atomic_fetch_add(&sink, sum);
  free(buffer);
  return NULL;
}

static void run_threads(size_t count) {
  static pthread_t threads[MAX_THREADS];
  for (size_t i = 0; i < count; i++) {
    errno = pthread_create(&threads[i], NULL, work, NULL);
    if (errno != 0) die("cannot start", "a thread");
  }
  for (size_t i = 0; i < count; i++) {
    errno = pthread_join(threads[i], NULL);
    if (errno != 0) die("cannot wait for", "a thread");
  }
}

static void finish(const char *output) {
  for (size_t i = 0; i < pair_count * copy_count; i++) {
    int descriptor = pairs[i / copy_count].outputs[i % copy_count];
    if (sync_wanted && fdatasync(descriptor) != 0) die("cannot sync a file of", output);
    if (close(descriptor) != 0) die("cannot close a file of", output);
  }
  if (!sync_wanted) return;
  int folder = open(output, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (folder < 0 || fsync(folder) != 0 || close(folder) != 0) die("cannot sync", output);
}

int main(int argc, char **argv) {
  size_t threads = 1;
  int i = 1;
  for (; i < argc && strncmp(argv[i], "--", 2) == 0; i++) {
    if (strcmp(argv[i], "--sync") == 0) {
      sync_wanted = true;
    } else if (strcmp(argv[i], "--threads") == 0 && i + 1 < argc) {
      threads = strtoul(argv[++i], NULL, 10);
    } else if (strcmp(argv[i], "--read") == 0 && i + 1 < argc) {
      const char *way = argv[++i];
      use_mapping = strcmp(way, "mmap") == 0;
      if (use_mapping == (strcmp(way, "pread") == 0)) refuse("--read is mmap or pread");
    } else if (strcmp(argv[i], "--write") == 0 && i + 1 < argc) {
      const char *way = argv[++i];
      use_buffer = strcmp(way, "buffer") == 0;
      if (use_buffer == (strcmp(way, "direct") == 0)) refuse("--write is direct or buffer");
    } else if (strcmp(argv[i], "--copies") == 0 && i + 1 < argc) {
      copy_count = strtoul(argv[++i], NULL, 10);
      if (copy_count < 1 || copy_count > MAX_COPIES) refuse("--copies is a number from 1 to 32");
    } else {
      fputs(USAGE, stderr);
      return 64;
    }
  }
  if (argc - i != 3) {
    fputs(USAGE, stderr);
    return 64;
  }
  if (!use_mapping && !use_buffer) refuse("--write direct needs --read mmap");
  if (threads < 1 || threads > MAX_THREADS) refuse("--threads is a number from 1 to 1024");
  open_pairs(argv[i], argv[i + 1], argv[i + 2]);
  run_threads(threads);
  finish(argv[i + 2]);
  return 0;
}
