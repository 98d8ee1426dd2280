/* The floor under a streamed merge: as many bytes moved between two processes by libzmq, with nothing read, computed or written.
 *
 * A server (ROUTER) holds the inputs, a client (DEALER) asks for them chunk by chunk over loopback TCP. For two chunks that
 * came it sends one back, which the server acknowledges. Both send from buffers filled beforehand, without a copy of their own.
 * What a streamed merge takes longer than this is not the price of libzmq.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <zmq.h>

enum { KEY_SIZE = 41, ENDPOINT_SIZE = 256, TIME_LIMIT_MS = 30000 };
static const size_t BUFFER = (size_t)64 << 20; /* larger than caches, as inputs are */

static const char USAGE[] =
    "usage: zmq_floor [--out-bytes N] [--chunk N] [--window N] [--curve]\n"
    "  --out-bytes N  bytes that the client sends back; it fetches twice as many (default: 2 GiB)\n"
    "  --chunk N      bytes of a message (default: 1 MiB)\n"
    "  --window N     requests that are outstanding at a time (default: 16)\n"
    "  --curve        encrypt, with keys made for this run\n"
    "Prints a JSON object: gb_per_second counts what was sent back; processor is seconds of both processes.\n";

static size_t out_bytes = (size_t)2 << 30, chunk = (size_t)1 << 20, window = 16, result_count;
static bool curve;
static char server_public[KEY_SIZE], server_secret[KEY_SIZE], client_public[KEY_SIZE], client_secret[KEY_SIZE];

static void die(const char *what) {
  fprintf(stderr, "zmq_floor: cannot %s: %s\n", what, zmq_strerror(errno));
  exit(74);
}

static void refuse(const char *message) {
  fprintf(stderr, "zmq_floor: %s\n", message);
  exit(64);
}

static void set(void *socket, int option, const void *value, size_t size) {
  if (zmq_setsockopt(socket, option, value, size) != 0) die("set an option");
}

static void *open_socket(void *context, int type) {
  void *socket = zmq_socket(context, type);
  if (socket == NULL) die("make a socket");
  const int limit = TIME_LIMIT_MS;
  set(socket, ZMQ_RCVTIMEO, &limit, sizeof limit);
  set(socket, ZMQ_SNDTIMEO, &limit, sizeof limit);
  return socket;
}

static uint8_t *filled_buffer(uint8_t seed) {
  uint8_t *buffer = malloc(BUFFER);
  if (buffer == NULL) die("allocate a buffer");
  for (size_t i = 0; i < BUFFER; i++) buffer[i] = (uint8_t)(i * 167 + seed);
  return buffer;
}

static void keep(void *data, void *hint) {
  (void)data;
  (void)hint;
}

/* Sends a number, and after it the chunk of the buffer that has this number, unless buffer is NULL. */
static void send_numbered(void *socket, uint64_t number, uint8_t *buffer) {
  if (zmq_send(socket, &number, sizeof number, buffer == NULL ? 0 : ZMQ_SNDMORE) < 0) die("send");
  if (buffer == NULL) return;
  zmq_msg_t message;
  if (zmq_msg_init_data(&message, buffer + number % (BUFFER / chunk) * chunk, chunk, keep, NULL) != 0) die("make a message");
  if (zmq_msg_send(&message, socket, 0) < 0) die("send a chunk");
}

/* Receives a number; returns whether a chunk came with it. */
static bool receive_numbered(void *socket, uint64_t *number) {
  if (zmq_recv(socket, number, sizeof *number, 0) != sizeof *number) die("receive");
  int more;
  size_t size = sizeof more;
  if (zmq_getsockopt(socket, ZMQ_RCVMORE, &more, &size) != 0) die("ask for more");
  if (!more) return false;
  zmq_msg_t message;
  zmq_msg_init(&message);
  if (zmq_msg_recv(&message, socket, 0) != (int)chunk) die("receive a chunk");
  zmq_msg_close(&message);
  return true;
}

/* Answers requests with chunks and chunks with acknowledgements, until all results are here. */
static void serve(int report) {
  void *context = zmq_ctx_new();
  void *socket = open_socket(context, ZMQ_ROUTER);
  const int on = 1;
  set(socket, ZMQ_ROUTER_MANDATORY, &on, sizeof on);
  if (curve) {
    set(socket, ZMQ_CURVE_SERVER, &on, sizeof on);
    set(socket, ZMQ_CURVE_SECRETKEY, server_secret, KEY_SIZE);
  }
  uint8_t *buffer = filled_buffer(1);
  if (zmq_bind(socket, "tcp://127.0.0.1:*") != 0) die("bind");
  char endpoint[ENDPOINT_SIZE] = {0};
  size_t size = sizeof endpoint;
  if (zmq_getsockopt(socket, ZMQ_LAST_ENDPOINT, endpoint, &size) != 0) die("ask for the endpoint");
  if (write(report, endpoint, sizeof endpoint) != sizeof endpoint) die("tell the endpoint");

  for (size_t results = 0; results < result_count;) {
    uint8_t peer[255]; /* no routing id is longer */
    int peer_size = zmq_recv(socket, peer, sizeof peer, 0);
    if (peer_size < 0) die("receive");
    uint64_t number;
    bool is_result = receive_numbered(socket, &number);
    if (zmq_send(socket, peer, (size_t)peer_size, ZMQ_SNDMORE) < 0) die("send");
    send_numbered(socket, number, is_result ? NULL : buffer);
    results += is_result;
  }
  zmq_close(socket);
  zmq_ctx_term(context); /* waits until the last acknowledgement is sent */
  free(buffer);
}

static double now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

/* Fetches and sends back; returns the seconds it took, from the first request on to the last acknowledgement. */
static double pull(const char *endpoint) {
  void *context = zmq_ctx_new();
  void *socket = open_socket(context, ZMQ_DEALER);
  if (curve) {
    set(socket, ZMQ_CURVE_SERVERKEY, server_public, KEY_SIZE);
    set(socket, ZMQ_CURVE_PUBLICKEY, client_public, KEY_SIZE);
    set(socket, ZMQ_CURVE_SECRETKEY, client_secret, KEY_SIZE);
  }
  uint8_t *buffer = filled_buffer(2);
  if (zmq_connect(socket, endpoint) != 0) die("connect");
  uint64_t number;
  send_numbered(socket, 0, NULL); /* connected when its answer is here */
  if (!receive_numbered(socket, &number)) refuse("the server answers with something else");

  const size_t total = result_count * 2;
  size_t requested = 0, fetched = 0, acknowledged = 0;
  double start = now();
  while (requested < window && requested < total) send_numbered(socket, requested++, NULL);
  while (acknowledged < result_count) {
    if (!receive_numbered(socket, &number)) {
      acknowledged++;
      continue;
    }
    fetched++;
    if (requested < total) send_numbered(socket, requested++, NULL);
    if (fetched % 2 == 0) send_numbered(socket, fetched / 2, buffer);
  }
  double seconds = now() - start;
  zmq_close(socket);
  zmq_ctx_term(context);
  free(buffer);
  return seconds;
}

static double processor(int who) {
  struct rusage usage;
  getrusage(who, &usage);
  return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
         (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

static size_t parse(const char *text) {
  char *end;
  errno = 0;
  unsigned long long value = strtoull(text, &end, 10);
  if (errno != 0 || end == text || *end != 0 || *text == '-' || value == 0) refuse("an option wants a number above 0");
  return value;
}

int main(int argc, char **argv) {
  for (int i = 1; i < argc; i++) {
    if (strcmp(argv[i], "--curve") == 0) {
      curve = true;
    } else if (strcmp(argv[i], "--out-bytes") == 0 && i + 1 < argc) {
      out_bytes = parse(argv[++i]);
    } else if (strcmp(argv[i], "--chunk") == 0 && i + 1 < argc) {
      chunk = parse(argv[++i]);
    } else if (strcmp(argv[i], "--window") == 0 && i + 1 < argc) {
      window = parse(argv[++i]);
    } else {
      fputs(USAGE, stderr);
      return 64;
    }
  }
  if (chunk > BUFFER) refuse("--chunk is at most 64 MiB");
  if (window > 256) refuse("--window is at most 256"); /* libzmq would hold back at 1000 messages */
  result_count = (out_bytes + chunk - 1) / chunk;
  if (curve && (zmq_curve_keypair(server_public, server_secret) != 0 || zmq_curve_keypair(client_public, client_secret) != 0))
    die("make keys");

  int ends[2];
  if (pipe(ends) != 0) die("make a pipe");
  pid_t server = fork();
  if (server < 0) die("fork");
  if (server == 0) {
    close(ends[0]);
    serve(ends[1]);
    return 0;
  }
  close(ends[1]);
  char endpoint[ENDPOINT_SIZE];
  if (read(ends[0], endpoint, sizeof endpoint) != sizeof endpoint) refuse("the server did not start");
  double seconds = pull(endpoint);
  int status;
  if (waitpid(server, &status, 0) < 0) die("wait for the server");
  if (status != 0) refuse("the server failed");
  double bytes = (double)(result_count * chunk);
  printf("{\"seconds\": %.3f, \"gb_per_second\": %.3f, \"processor\": %.2f, ", seconds, bytes / seconds / 1e9,
         processor(RUSAGE_SELF) + processor(RUSAGE_CHILDREN));
  printf("\"out_bytes\": %.0f, \"in_bytes\": %.0f, \"curve\": %s}\n", bytes, bytes * 2, curve ? "true" : "false");
  return 0;
}
