#include "core/parallel/network.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <memory>
#include <utility>

#include "core/base/error.h"

namespace qlora::parallel {

namespace {

struct Socket {
    int descriptor;
    ~Socket() {
        if (descriptor >= 0) ::close(descriptor);
    }
};

struct FreeAddresses {
    void operator()(addrinfo* list) const { ::freeaddrinfo(list); }
};
using Addresses = std::unique_ptr<addrinfo, FreeAddresses>;

Addresses resolve(const std::string& host, std::uint16_t port, int type) {
    addrinfo wish{};
    wish.ai_socktype = type;
    addrinfo* list = nullptr;
    if (const int error = ::getaddrinfo(host.c_str(), std::to_string(port).c_str(), &wish, &list); error != 0)
        throw failure("parallel.address", "MASTER_ADDR", "\"" + host + "\" has no address: " + ::gai_strerror(error),
                      "Set it to the name or address of the machine that process 0 runs on.");
    return Addresses(list);
}

}  // namespace

Listener::Listener() : socket_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t length = sizeof address;
    auto* any = reinterpret_cast<sockaddr*>(&address);
    if (socket_ < 0 || ::bind(socket_, any, length) != 0 || ::getsockname(socket_, any, &length) != 0)
        throw failure("parallel.port", "127.0.0.1", "no free port can be had: " + errno_text(errno));
    port_ = ntohs(address.sin_port);
}

Listener::~Listener() {
    if (socket_ >= 0) ::close(socket_);
}

int Listener::release() { return std::exchange(socket_, -1); }

std::string own_address(const std::string& host, std::uint16_t port) {
    const auto list = resolve(host, port, SOCK_DGRAM);
    int error = 0;
    for (const addrinfo* at = list.get(); at != nullptr; at = at->ai_next) {
        const Socket socket{::socket(at->ai_family, SOCK_DGRAM | SOCK_CLOEXEC, 0)};
        sockaddr_storage own{};
        socklen_t length = sizeof own;
        auto* any = reinterpret_cast<sockaddr*>(&own);
        char text[NI_MAXHOST];
        // Connecting a datagram socket sends nothing: it only asks the system for the way.
        if (socket.descriptor >= 0 && ::connect(socket.descriptor, at->ai_addr, at->ai_addrlen) == 0 &&
            ::getsockname(socket.descriptor, any, &length) == 0 &&
            ::getnameinfo(any, length, text, sizeof text, nullptr, 0, NI_NUMERICHOST) == 0)
            return text;
        error = errno;
    }
    throw failure("parallel.address", "MASTER_ADDR", "no way leads to \"" + host + "\": " + errno_text(error),
                  "Check the network, or set it to another address of the machine that process 0 runs on.");
}

bool listens(const std::string& host, std::uint16_t port) {
    const auto list = resolve(host, port, SOCK_STREAM);
    for (const addrinfo* at = list.get(); at != nullptr; at = at->ai_next) {
        const Socket socket{::socket(at->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0)};
        if (socket.descriptor >= 0 && ::connect(socket.descriptor, at->ai_addr, at->ai_addrlen) == 0) return true;
    }
    return false;
}

}  // namespace qlora::parallel
