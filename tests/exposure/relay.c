/* relay BACK HELD TO MILLISECONDS : what leaves by BACK and so arrives at HELD, the other end of its cable, is sent out of TO, so much later.
 *
 * Stands in for netem, which many kernels are built without. Packets wait where the kernel wrote them, in a packet(7) ring of
 * variable frames (TPACKET_V3), with the time of arrival that the kernel noted; a block goes back when all its packets are gone.
 * When told to end (SIGTERM) it prints how many packets found no room. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <linux/ethtool.h>
#include <linux/if_packet.h>
#include <linux/sockios.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>

#define BLOCK (1 << 18)
#define BLOCKS 512
#define BATCH 128

static volatile sig_atomic_t ended;

static void end(int signal) {
	(void)signal;
	ended = 1;
}

static uint64_t now_ns(void) {
	struct timespec at;
	clock_gettime(CLOCK_REALTIME, &at);
	return (uint64_t)at.tv_sec * 1000000000u + (uint64_t)at.tv_nsec;
}

static int must(int result, const char *what) {
	if (result < 0) {
		perror(what);
		exit(1);
	}
	return result;
}

static int packet_socket(const char *name, int protocol) {
	struct sockaddr_ll at = {.sll_family = AF_PACKET, .sll_protocol = htons(protocol), .sll_ifindex = (int)if_nametoindex(name)};
	int fd = must(socket(AF_PACKET, SOCK_RAW, 0), "socket"), one = 1, room = 16 << 20;
	if (protocol) {
		int version = TPACKET_V3;
		struct tpacket_req3 ring = {.tp_block_size = BLOCK, .tp_block_nr = BLOCKS, .tp_frame_size = 2048, .tp_frame_nr = BLOCK / 2048 * BLOCKS, .tp_retire_blk_tov = 1};
		must(setsockopt(fd, SOL_PACKET, PACKET_VERSION, &version, sizeof version), "PACKET_VERSION");
		must(setsockopt(fd, SOL_PACKET, PACKET_RX_RING, &ring, sizeof ring), "PACKET_RX_RING");
		must(setsockopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &one, sizeof one), "PACKET_IGNORE_OUTGOING");
	} else {
		must(setsockopt(fd, SOL_PACKET, PACKET_QDISC_BYPASS, &one, sizeof one), "PACKET_QDISC_BYPASS");
		setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &room, sizeof room);
	}
	must(bind(fd, (struct sockaddr *)&at, sizeof at), name);
	return fd;
}

/* On a virtual cable the kernel leaves checksums to a card that is not there; the receiver of our copy would refuse it. */
static void write_checksums(int fd, const char *name) {
	struct ethtool_value off = {.cmd = ETHTOOL_STXCSUM, .data = 0};
	struct ifreq request = {.ifr_data = (void *)&off};
	strncpy(request.ifr_name, name, IFNAMSIZ - 1);
	must(ioctl(fd, SIOCETHTOOL, &request), "ETHTOOL_STXCSUM");
}

int main(int count, char **words) {
	if (count != 5) {
		fprintf(stderr, "relay BACK HELD TO MILLISECONDS\n");
		return 2;
	}
	int from = packet_socket(words[2], ETH_P_ALL), to = packet_socket(words[3], 0);
	write_checksums(to, words[1]);
	uint64_t delay = (uint64_t)(atof(words[4]) * 1e6);
	char *ring = mmap(NULL, (size_t)BLOCK * BLOCKS, PROT_READ | PROT_WRITE, MAP_SHARED, from, 0);
	if (ring == MAP_FAILED)
		must(-1, "mmap");
	/* It stands for the network, which does not wait for a processor. Refused without the right to; then it is only less exact. */
	struct sched_param first = {.sched_priority = 1};
	sched_setscheduler(0, SCHED_RR, &first);
	struct sigaction on = {.sa_handler = end};
	sigaction(SIGTERM, &on, NULL);
	puts("relaying");
	fflush(stdout);

	unsigned block = 0, taken = 0;
	struct tpacket3_hdr *next = NULL;
	struct mmsghdr messages[BATCH];
	struct iovec vectors[BATCH];
	memset(messages, 0, sizeof messages);
	for (int i = 0; i < BATCH; i++)
		messages[i].msg_hdr = (struct msghdr){.msg_iov = &vectors[i], .msg_iovlen = 1};
	while (!ended) {
		struct tpacket_block_desc *here = (void *)(ring + (size_t)block * BLOCK);
		if (!(__atomic_load_n(&here->hdr.bh1.block_status, __ATOMIC_ACQUIRE) & TP_STATUS_USER)) {
			struct pollfd wait = {from, POLLIN, 0};
			poll(&wait, 1, 1000);
			continue;
		}
		if (next == NULL) {
			next = (void *)((char *)here + here->hdr.bh1.offset_to_first_pkt);
			taken = 0;
		}
		unsigned ready = 0;
		uint64_t now = now_ns(), due = 0;
		while (ready < BATCH && taken + ready < here->hdr.bh1.num_pkts) {
			due = (uint64_t)next->tp_sec * 1000000000u + next->tp_nsec + delay;
			if (due > now)
				break;
			vectors[ready++] = (struct iovec){(char *)next + next->tp_mac, next->tp_snaplen};
			next = (void *)((char *)next + next->tp_next_offset);
		}
		for (unsigned sent = 0; sent < ready && !ended;) {
			int more = sendmmsg(to, messages + sent, ready - sent, 0);
			if (more < 0 && errno != EAGAIN && errno != ENOBUFS && errno != EINTR)
				more = 1; /* Refused for good, as too long: the others go on. */
			sent += more > 0 ? (unsigned)more : 0;
		}
		taken += ready;
		if (taken >= here->hdr.bh1.num_pkts) {
			__atomic_store_n(&here->hdr.bh1.block_status, TP_STATUS_KERNEL, __ATOMIC_RELEASE);
			block = (block + 1) % BLOCKS;
			next = NULL;
		} else if (ready == 0) {
			struct timespec rest = {0, (long)(due - now < 1000000 ? due - now : 1000000)};
			nanosleep(&rest, NULL);
		}
	}
	struct tpacket_stats_v3 counts = {0};
	socklen_t size = sizeof counts;
	getsockopt(from, SOL_PACKET, PACKET_STATISTICS, &counts, &size);
	printf("relayed %u, no room for %u\n", counts.tp_packets - counts.tp_drops, counts.tp_drops);
	return 0;
}
