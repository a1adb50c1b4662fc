/* relay NEAR FAR MILLISECONDS : carries frames between two interfaces, those from FAR to NEAR after a delay.
 *
 * Stands in for netem, which many kernels are built without. One thread, no locks: a ring of frames in the order of their departure. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#define BATCH 256
#define ROOM 2048
#define HELD 32768

static char frames[HELD][ROOM];
static unsigned sizes[HELD];
static uint64_t due[HELD];

static uint64_t now_ns(void) {
	struct timespec at;
	clock_gettime(CLOCK_MONOTONIC, &at);
	return (uint64_t)at.tv_sec * 1000000000u + (uint64_t)at.tv_nsec;
}

static int open_on(const char *name) {
	int fd = socket(AF_PACKET, SOCK_RAW, htons(ETH_P_ALL)), room = 64 << 20, one = 1;
	struct sockaddr_ll at = {.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL), .sll_ifindex = (int)if_nametoindex(name)};
	if (fd < 0 || bind(fd, (struct sockaddr *)&at, sizeof at) != 0) {
		perror(name);
		exit(1);
	}
	setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof room);
	setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &room, sizeof room);
	setsockopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &one, sizeof one);
	setsockopt(fd, SOL_PACKET, PACKET_QDISC_BYPASS, &one, sizeof one);
	return fd;
}

int main(int count, char **words) {
	static char batch[BATCH][ROOM];
	struct mmsghdr messages[BATCH];
	struct iovec vectors[BATCH];
	if (count != 4) {
		fprintf(stderr, "relay NEAR FAR MILLISECONDS\n");
		return 2;
	}
	int near = open_on(words[1]), far = open_on(words[2]);
	uint64_t delay = (uint64_t)(atof(words[3]) * 1e6), first = 0, next = 0;
	puts("relaying");
	fflush(stdout);
	for (;;) {
		int idle = 1;
		for (int i = 0; i < BATCH; i++) {
			vectors[i] = (struct iovec){batch[i], ROOM};
			messages[i] = (struct mmsghdr){.msg_hdr = {.msg_iov = &vectors[i], .msg_iovlen = 1}};
		}
		int got = recvmmsg(near, messages, BATCH, MSG_DONTWAIT, NULL);
		if (got > 0) {
			idle = 0;
			for (int i = 0; i < got; i++)
				vectors[i].iov_len = messages[i].msg_len;
			for (int sent = 0; sent < got;) {
				int more = sendmmsg(far, messages + sent, (unsigned)(got - sent), 0);
				if (more < 0 && errno != EAGAIN && errno != ENOBUFS)
					break;
				sent += more > 0 ? more : 0;
			}
		}
		while (next - first < HELD) {
			ssize_t size = recv(far, frames[next % HELD], ROOM, MSG_DONTWAIT);
			if (size <= 0)
				break;
			idle = 0;
			sizes[next % HELD] = (unsigned)size;
			due[next++ % HELD] = now_ns() + delay;
		}
		uint64_t now = now_ns();
		while (first < next && due[first % HELD] <= now) {
			idle = 0;
			if (send(near, frames[first % HELD], sizes[first % HELD], 0) < 0 && (errno == EAGAIN || errno == ENOBUFS))
				break;
			first++;
		}
		if (idle) {
			struct pollfd both[2] = {{near, POLLIN, 0}, {far, POLLIN, 0}};
			poll(both, 2, first < next ? 1 : 100);
		}
	}
}
