#include "netns/netlink.h"

#include <fcntl.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <netlink/attr.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

namespace hutch::netns {

constexpr int kPatienceMs = 5000;  // for what takes well under one

Result<Handle<nl_sock, nl_socket_free>> netlink_socket(int protocol) {
    auto socket = handle<Handle<nl_sock, nl_socket_free>>(nl_socket_alloc());
    const std::string operation = "opening a netlink socket";
    // libnl opens with SOCK_CLOEXEC.
    if (const int failure = nl_connect(socket.get(), protocol); failure < 0) {
        return errno_error(operation + " (" + nl_geterror(failure) + ")");
    }
    const int on = 1;
    const int fd = nl_socket_get_fd(socket.get());
    // Why a request failed, in words; and no copy of the request in the answer.
    if (setsockopt(fd, SOL_NETLINK, NETLINK_EXT_ACK, &on, sizeof(on)) != 0 ||
        setsockopt(fd, SOL_NETLINK, NETLINK_CAP_ACK, &on, sizeof(on)) != 0) {
        return errno_error(operation);
    }
    return socket;
}

Result<Netlink> Netlink::open() {
    return Netlink(TRY(netlink_socket(NETLINK_ROUTE)));
}

Result<int> Netlink::link_index(const std::string& name) const {
    ifreq query{};
    if (name.size() >= sizeof(query.ifr_name)) return errno_error("looking for link " + name, ENODEV);
    name.copy(query.ifr_name, sizeof(query.ifr_name) - 1);
    // The socket's namespace answers, not the thread's.
    if (ioctl(nl_socket_get_fd(socket_.get()), SIOCGIFINDEX, &query) != 0) {
        return errno_error("looking for link " + name);
    }
    return query.ifr_ifindex;
}

Result<void> Netlink::send(const std::vector<Request>& requests) {
    std::vector<iovec> pieces;
    for (const Request& request : requests) {
        nl_complete_msg(socket_.get(), request.message.get());
        nlmsghdr* header = nlmsg_hdr(request.message.get());
        header->nlmsg_flags |= NLM_F_ACK;
        pieces.push_back({header, NLMSG_ALIGN(header->nlmsg_len)});
    }
    sockaddr_nl kernel{};
    kernel.nl_family = AF_NETLINK;
    msghdr message{};
    message.msg_name = &kernel;
    message.msg_namelen = sizeof(kernel);
    message.msg_iov = pieces.data();
    message.msg_iovlen = pieces.size();
    if (sendmsg(nl_socket_get_fd(socket_.get()), &message, 0) < 0) return errno_error(requests.front().what);
    return {};
}

Error refusal(const std::string& what, nlmsghdr* answer) {
    Error error = errno_error(what, -static_cast<const nlmsgerr*>(nlmsg_data(answer))->error);
    const int attributes = nlmsg_attrlen(answer, sizeof(nlmsgerr));
    if ((answer->nlmsg_flags & NLM_F_ACK_TLVS) == 0 || attributes <= 0) return error;
    nlattr* words = nla_find(nlmsg_attrdata(answer, sizeof(nlmsgerr)), attributes, NLMSGERR_ATTR_MSG);
    if (words != nullptr) error.message += std::string(" (") + nla_get_string(words) + ")";
    return error;
}

Result<size_t> Netlink::receive(const std::vector<Request>& requests, Result<void>& outcome) {
    alignas(nlmsghdr) char buffer[8192];
    const ssize_t size = recv(nl_socket_get_fd(socket_.get()), buffer, sizeof(buffer), 0);
    if (size < 0 && errno == EINTR) return size_t{0};
    if (size < 0) return errno_error("waiting for the answer to " + requests.front().what);
    size_t answers = 0;
    int left = static_cast<int>(size);
    for (auto* header = reinterpret_cast<nlmsghdr*>(buffer); nlmsg_ok(header, left);
         header = nlmsg_next(header, &left)) {
        const uint32_t first = nlmsg_hdr(requests.front().message.get())->nlmsg_seq;
        const uint32_t at = header->nlmsg_seq - first;  // numbered one after the other by nl_complete_msg
        if (header->nlmsg_type != NLMSG_ERROR || at >= requests.size()) continue;
        ++answers;
        const bool failed = static_cast<const nlmsgerr*>(nlmsg_data(header))->error != 0;
        if (failed && outcome.ok()) outcome = refusal(requests[at].what, header);
    }
    return answers;
}

Result<void> Netlink::follow_links() {
    if (nl_socket_add_memberships(socket_.get(), RTNLGRP_LINK, 0) < 0) return errno_error("following links");
    return {};
}

Result<void> Netlink::wait_until_running(int link) {
    const int fd = nl_socket_get_fd(socket_.get());
    for (;;) {
        pollfd entry{fd, POLLIN, 0};
        const int ready = poll(&entry, 1, kPatienceMs);
        if (ready < 0 && errno == EINTR) continue;
        if (ready < 1) return errno_error("waiting for a link to run", ready == 0 ? ETIMEDOUT : errno);
        alignas(nlmsghdr) char buffer[8192];
        int left = static_cast<int>(recv(fd, buffer, sizeof(buffer), 0));
        for (auto* header = reinterpret_cast<nlmsghdr*>(buffer); nlmsg_ok(header, left);
             header = nlmsg_next(header, &left)) {
            const auto* news = static_cast<const ifinfomsg*>(nlmsg_data(header));
            if (header->nlmsg_type == RTM_NEWLINK && news->ifi_index == link && (news->ifi_flags & IFF_RUNNING) != 0) {
                return {};
            }
        }
    }
}

Result<void> Netlink::apply(const std::vector<Request>& requests) {
    if (requests.empty()) return {};
    TRY(send(requests));
    Result<void> outcome;
    for (size_t answered = 0; answered < requests.size();) answered += TRY(receive(requests, outcome));
    return outcome;
}

}  // namespace hutch::netns
