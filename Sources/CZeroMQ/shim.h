#pragma once
#include <zmq.h>

/* A draft option in libzmq 4.3.4's headers, stable since: without it a dead ZAP handler admits everyone. */
#ifndef ZMQ_ZAP_ENFORCE_DOMAIN
#define ZMQ_ZAP_ENFORCE_DOMAIN 93
#endif
