/* Sockets of the host, and families of sockets */
#include "attempt.h"

#include <arpa/inet.h>
#include <linux/if_packet.h>
#include <linux/if_tun.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <linux/vm_sockets.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>

static socklen_t unix_place(struct sockaddr_un *place, const char *name, bool abstract)
{
    *place = (struct sockaddr_un){.sun_family = AF_UNIX};
    snprintf(place->sun_path + abstract, sizeof place->sun_path - 1, "%s", name);
    return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(name) + 1);
}

static int said(const char *name, bool abstract, int type)
{
    struct sockaddr_un place;
    socklen_t size = unix_place(&place, name, abstract);
    int made = socket(AF_UNIX, type, 0);
    if (made < 0 || connect(made, (struct sockaddr *)&place, size) < 0)
        return outcome_of(-1);
    return outcome_of(send(made, SHOT, strlen(SHOT), 0));
}

ESCAPE(abstract_stream, SEEN, "all", "connects to an abstract socket of the host")
{
    return said(given("stream"), true, SOCK_STREAM);
}

ESCAPE(abstract_datagram, SEEN, "all", "sends to an abstract socket of the host")
{
    return said(given("datagram"), true, SOCK_DGRAM);
}

ESCAPE(path_stream, SEEN, "all", "connects to a socket in a directory outside")
{
    return said(below("outside", "stream"), false, SOCK_STREAM);
}

ESCAPE(path_datagram, SEEN, "all", "sends to a socket in a directory outside")
{
    return said(below("outside", "datagram"), false, SOCK_DGRAM);
}

ESCAPE(path_socket_by_symlink, SEEN, "all", "connects to a socket outside by a symbolic link of its own")
{
    unlink(below("work", "socket"));
    symlink(below("outside", "stream"), below("work", "socket"));
    return said(below("work", "socket"), false, SOCK_STREAM);
}

ESCAPE(path_socket_by_hard_link, SEEN, "all", "connects to a socket outside by a hard link of its own")
{
    unlink(below("work", "socket"));
    if (link(below("outside", "stream"), below("work", "socket")) < 0)
        return outcome_of(-1);
    return said(below("work", "socket"), false, SOCK_STREAM);
}

ESCAPE(path_socket_by_root_of_parent, SEEN, "all", "connects to a socket outside by the root directory of its parent")
{
    char path[256];
    snprintf(path, sizeof path, "/proc/%d/root%s", (int)getppid(), below("outside", "stream"));
    return said(path, false, SOCK_STREAM);
}

ESCAPE(abstract_name_taken, WORD, "all", "finds that an abstract name of the host is taken, by binding it")
{
    struct sockaddr_un place;
    socklen_t size = unix_place(&place, given("stream"), true);
    int made = socket(AF_UNIX, SOCK_STREAM, 0);
    if (made < 0)
        return outcome_of(-1);
    return bind(made, (struct sockaddr *)&place, size) < 0 && errno == EADDRINUSE ? THROUGH : STOPPED;
}

static struct sockaddr_in loopback(const char *port)
{
    return (struct sockaddr_in){.sin_family = AF_INET,
                                .sin_port = htons((uint16_t)number(port)),
                                .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

static int connected(int protocol)
{
    struct sockaddr_in place = loopback("tcp");
    int made = socket(AF_INET, SOCK_STREAM, protocol);
    return outcome_of(made < 0 ? -1 : connect(made, (struct sockaddr *)&place, sizeof place));
}

ESCAPE(loopback_tcp, SEEN, "all", "connects to a TCP port of the host's loopback")
{
    return connected(0);
}

ESCAPE(loopback_mptcp, SEEN, "some: CONFIG_MPTCP", "connects to a TCP port of the host with multipath TCP")
{
    return connected(262);
}

ESCAPE(loopback_fast_open, SEEN, "all", "connects to a TCP port of the host by sending with MSG_FASTOPEN")
{
    struct sockaddr_in place = loopback("tcp");
    int made = socket(AF_INET, SOCK_STREAM, 0);
    return outcome_of(made < 0 ? -1
                               : sendto(made, SHOT, strlen(SHOT), MSG_FASTOPEN | MSG_NOSIGNAL,
                                        (struct sockaddr *)&place, sizeof place));
}

ESCAPE(loopback_tcp6, SEEN, "some: IPv6", "connects to a TCP port of the host by an IPv6 address for it")
{
    struct sockaddr_in6 place = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)number("tcp"))};
    inet_pton(AF_INET6, "::ffff:127.0.0.1", &place.sin6_addr);
    int made = socket(AF_INET6, SOCK_STREAM, 0);
    return outcome_of(made < 0 ? -1 : connect(made, (struct sockaddr *)&place, sizeof place));
}

ESCAPE(loopback_udp, SEEN, "all", "sends to a UDP port of the host's loopback")
{
    struct sockaddr_in place = loopback("udp");
    int made = socket(AF_INET, SOCK_DGRAM, 0);
    return outcome_of(
        made < 0 ? -1 : sendto(made, SHOT, strlen(SHOT), 0, (struct sockaddr *)&place, sizeof place));
}

ESCAPE(loopback_udp_connected, SEEN, "all", "connects to a UDP port of the host, and sends")
{
    struct sockaddr_in place = loopback("udp");
    int made = socket(AF_INET, SOCK_DGRAM, 0);
    if (made < 0 || connect(made, (struct sockaddr *)&place, sizeof place) < 0)
        return outcome_of(-1);
    return outcome_of(send(made, SHOT, strlen(SHOT), 0));
}

ESCAPE(loopback_udplite, WORD, "some: UDP-Lite", "opens a UDP-Lite socket to the host's loopback")
{
    struct sockaddr_in place = loopback("udp");
    int made = socket(AF_INET, SOCK_DGRAM, IPPROTO_UDPLITE);
    return outcome_of(
        made < 0 ? -1 : sendto(made, SHOT, strlen(SHOT), 0, (struct sockaddr *)&place, sizeof place));
}

static int in_use(int type, const char *port)
{
    struct sockaddr_in place = loopback(port);
    int made = socket(AF_INET, type, 0);
    if (made < 0 || bind(made, (struct sockaddr *)&place, sizeof place) == 0)
        return made < 0 ? outcome_of(-1) : STOPPED;
    return errno == EADDRINUSE ? THROUGH : outcome_of(-1);
}

ESCAPE(tcp_port_bound, WORD, "all", "binds a TCP port of the host, as a service would")
{
    return in_use(SOCK_STREAM, "tcp");
}

ESCAPE(udp_port_bound, WORD, "all", "binds a UDP port of the host, as a service would")
{
    return in_use(SOCK_DGRAM, "udp");
}

ESCAPE(host_network_listened, WORD, "all", "listens on a port of the host's network without choosing one")
{
    char own[64] = "";
    ssize_t size = readlink("/proc/self/ns/net", own, sizeof own - 1);
    int made = socket(AF_INET, SOCK_STREAM, 0);
    if (made < 0 || listen(made, 1) < 0)
        return outcome_of(-1);
    return size > 0 && strcmp(own, given("net")) == 0 ? THROUGH : STOPPED;
}

static int opened(int family, int type, int protocol)
{
    return outcome_of(socket(family, type, protocol));
}

ESCAPE(raw_ip, WORD, "root", "opens a raw socket for ICMP")
{
    return opened(AF_INET, SOCK_RAW, IPPROTO_ICMP);
}

ESCAPE(raw_ip_any, WORD, "root", "opens a raw socket that makes its own headers")
{
    return opened(AF_INET, SOCK_RAW, IPPROTO_RAW);
}

ESCAPE(raw_ip6, WORD, "some: root, and IPv6", "opens a raw socket of IPv6")
{
    return opened(AF_INET6, SOCK_RAW, IPPROTO_ICMPV6);
}

ESCAPE(packet_socket, WORD, "root", "opens a packet socket, which reads all that interfaces carry")
{
    return opened(AF_PACKET, SOCK_RAW, htons(3));
}

ESCAPE(packet_datagram, WORD, "root", "opens a packet socket for datagrams")
{
    return opened(AF_PACKET, SOCK_DGRAM, htons(3));
}

ESCAPE(ping_socket, WORD, "some: ping_group_range", "opens a socket that sends pings")
{
    return opened(AF_INET, SOCK_DGRAM, IPPROTO_ICMP);
}

static int listed_interfaces(void)
{
    struct {
        struct nlmsghdr head;
        struct rtgenmsg body;
    } wish = {.head = {.nlmsg_len = sizeof wish,
                       .nlmsg_type = RTM_GETLINK,
                       .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP},
              .body = {.rtgen_family = AF_UNSPEC}};
    int made = socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE);
    if (made < 0 || send(made, &wish, sizeof wish, 0) < 0)
        return -1;
    int found = 0;
    static char answer[65536];
    for (;;) {
        int size = (int)recv(made, answer, sizeof answer, 0);
        if (size <= 0)
            return -1;
        for (struct nlmsghdr *one = (void *)answer; NLMSG_OK(one, (unsigned)size); one = NLMSG_NEXT(one, size)) {
            if (one->nlmsg_type == NLMSG_DONE || one->nlmsg_type == NLMSG_ERROR)
                return found;
            found += ((struct ifinfomsg *)NLMSG_DATA(one))->ifi_index > 1;
        }
    }
}

ESCAPE(netlink_route, WORD, "some: the machine has an interface beside lo", "lists the host's interfaces by netlink")
{
    int found = listed_interfaces();
    return found > 0 ? THROUGH : outcome_of(-1);
}

ESCAPE(netlink_uevents, WORD, "all", "listens to the kernel's events of devices by netlink")
{
    struct sockaddr_nl place = {.nl_family = AF_NETLINK, .nl_groups = 1};
    int made = socket(AF_NETLINK, SOCK_DGRAM, NETLINK_KOBJECT_UEVENT);
    return outcome_of(made < 0 ? -1 : bind(made, (struct sockaddr *)&place, sizeof place));
}

ESCAPE(netlink_sockets, WORD, "some: CONFIG_INET_DIAG", "finds the host's listening sockets by netlink")
{
    struct {
        struct nlmsghdr head;
        struct inet_diag_req_v2 body;
    } wish = {.head = {.nlmsg_len = sizeof wish,
                       .nlmsg_type = SOCK_DIAG_BY_FAMILY,
                       .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP},
              .body = {.sdiag_family = AF_INET, .sdiag_protocol = IPPROTO_TCP, .idiag_states = 1 << TCP_LISTEN}};
    int made = socket(AF_NETLINK, SOCK_DGRAM, NETLINK_SOCK_DIAG);
    static char answer[65536];
    if (made < 0 || send(made, &wish, sizeof wish, 0) < 0)
        return outcome_of(-1);
    int size = (int)recv(made, answer, sizeof answer, 0);
    for (struct nlmsghdr *one = (void *)answer; NLMSG_OK(one, (unsigned)size); one = NLMSG_NEXT(one, size)) {
        struct inet_diag_msg *found = NLMSG_DATA(one);
        if (one->nlmsg_type == SOCK_DIAG_BY_FAMILY && ntohs(found->id.idiag_sport) == number("tcp"))
            return THROUGH;
    }
    return STOPPED;
}

ESCAPE(netlink_netfilter, WORD, "some: CONFIG_NETFILTER", "opens the socket of the packet filter")
{
    return opened(AF_NETLINK, SOCK_RAW, NETLINK_NETFILTER);
}

ESCAPE(netlink_transform, WORD, "some: CONFIG_XFRM_USER", "opens the socket of encrypted routes")
{
    return opened(AF_NETLINK, SOCK_RAW, NETLINK_XFRM);
}

ESCAPE(netlink_audit, WORD, "some: CONFIG_AUDIT", "opens the socket of the audit")
{
    return opened(AF_NETLINK, SOCK_RAW, NETLINK_AUDIT);
}

ESCAPE(netlink_processes, WORD, "some: root, and CONFIG_CONNECTOR", "is told of all processes that begin and end, by netlink")
{
    struct sockaddr_nl place = {.nl_family = AF_NETLINK, .nl_groups = 1};
    int made = socket(AF_NETLINK, SOCK_DGRAM, NETLINK_CONNECTOR);
    return outcome_of(made < 0 ? -1 : bind(made, (struct sockaddr *)&place, sizeof place));
}

ESCAPE(vsock, WORD, "some: CONFIG_VSOCKETS", "opens a socket to the machine that this one is a guest of")
{
    return opened(AF_VSOCK, SOCK_STREAM, 0);
}

ESCAPE(vsock_datagram, WORD, "some: CONFIG_VSOCKETS", "opens a datagram socket to the machine that this one is a guest of")
{
    return opened(AF_VSOCK, SOCK_DGRAM, 0);
}

ESCAPE(vsock_high_bits, WORD, "some: CONFIG_VSOCKETS", "opens a vsock with higher bits set beside the family")
{
    return outcome_of(syscall(SYS_socket, 1UL << 32 | AF_VSOCK, (long)SOCK_STREAM, 0L));
}

ESCAPE(kernel_crypto, WORD, "some: CONFIG_CRYPTO_USER_API", "opens a socket of the kernel's cryptography")
{
    return opened(AF_ALG, SOCK_SEQPACKET, 0);
}

ESCAPE(bluetooth, WORD, "some: CONFIG_BT", "opens a bluetooth socket")
{
    return opened(31, SOCK_RAW, 1);
}

ESCAPE(express_data_path, WORD, "some: CONFIG_XDP_SOCKETS", "opens a socket that passes the network stack by")
{
    return opened(44, SOCK_RAW, 0);
}

ESCAPE(key_management_socket, WORD, "some: CONFIG_NET_KEY", "opens a socket for keys of encrypted routes")
{
    return opened(15, SOCK_RAW, 2);
}

ESCAPE(rare_family, WORD, "some: the kernel has one", "opens a socket of any rare family: CAN, TIPC, RDS, SMC, KCM, NFC, QIPCRTR, X.25 and others")
{
    for (int family = 3; family < 46; family++) {
        if (family == AF_INET6 || family == AF_NETLINK)
            continue;
        for (int type = 1; type <= 5; type++)
            if (family != AF_PACKET && socket(family, type, 0) >= 0) {
                printf("family %d\n", family);
                return THROUGH;
            }
    }
    return outcome_of(-1);
}

ESCAPE(rare_protocol, WORD, "some: the kernel has one", "opens a socket of SCTP, DCCP or L2TP")
{
    if (socket(AF_INET, SOCK_STREAM, IPPROTO_SCTP) >= 0 || socket(AF_INET, SOCK_SEQPACKET, IPPROTO_SCTP) >= 0 ||
        socket(AF_INET, 6, 33) >= 0 || socket(AF_INET, SOCK_DGRAM, 115) >= 0)
        return THROUGH;
    return outcome_of(-1);
}

ESCAPE(tunnel, WORD, "some: root, and /dev/net/tun", "makes an interface of its own by /dev/net/tun")
{
    int device = open("/dev/net/tun", O_RDWR);
    struct ifreq wish = {.ifr_name = "escape%d", .ifr_flags = IFF_TUN | IFF_NO_PI};
    return outcome_of(device < 0 ? -1 : ioctl(device, TUNSETIFF, &wish));
}

ESCAPE(interface_changed, WORD, "root", "sets an interface as it is, which needs the right to change it")
{
    int made = socket(AF_INET, SOCK_DGRAM, 0);
    struct ifreq wish = {.ifr_name = "lo"};
    if (made < 0 || ioctl(made, SIOCGIFFLAGS, &wish) < 0)
        return outcome_of(-1);
    return outcome_of(ioctl(made, SIOCSIFFLAGS, &wish));
}

ESCAPE(marked_packets, WORD, "root", "marks its packets, which rules of routing trust")
{
    int made = socket(AF_INET, SOCK_DGRAM, 0), mark = 7;
    return outcome_of(made < 0 ? -1 : setsockopt(made, SOL_SOCKET, SO_MARK, &mark, sizeof mark));
}

ESCAPE(forged_credentials, WORD, "root", "sends another pid than its own over a unix socket")
{
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_DGRAM, 0, ends) < 0)
        return outcome_of(-1);
    char space[CMSG_SPACE(sizeof(struct ucred))] = {0};
    struct iovec text = {.iov_base = "x", .iov_len = 1};
    struct msghdr message = {
        .msg_iov = &text, .msg_iovlen = 1, .msg_control = space, .msg_controllen = sizeof space};
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    struct ucred forged = {.pid = 1, .uid = getuid(), .gid = getgid()};
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_CREDENTIALS;
    header->cmsg_len = CMSG_LEN(sizeof forged);
    memcpy(CMSG_DATA(header), &forged, sizeof forged);
    return outcome_of(sendmsg(ends[0], &message, 0));
}
