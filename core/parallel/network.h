#pragma once
// The few things that processes need of sockets before they know each other.

#include <cstdint>
#include <string>

namespace qlora::parallel {

// A socket bound to a free port of 127.0.0.1, closed by its owner or by whoever is given its descriptor.
class Listener {
  public:
    Listener();  // throws failure "parallel.port"
    ~Listener();
    Listener(const Listener&) = delete;
    Listener& operator=(const Listener&) = delete;
    std::uint16_t port() const { return port_; }
    int release();  // the descriptor, closed on exec

  private:
    int socket_ = -1;
    std::uint16_t port_ = 0;
};

// This machine's own address on the way to `host`, as numbers: there others that reach `host` can reach it. Throws failure
// "parallel.address" when the name has no address or no way leads there.
std::string own_address(const std::string& host, std::uint16_t port);

// Whether something listens at host:port now.
bool listens(const std::string& host, std::uint16_t port);

}  // namespace qlora::parallel
