#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"

namespace hutch::archives {

/// A file or directory of this machine as a tar archive (pax), made as it is taken: content, modes, times, links as
/// links, further names as such, empty directories, holes as holes. Owners and attributes are left out; so are sockets,
/// FIFOs and devices, which are counted. No link is followed. What goes while it is read is left out, what shrinks ends
/// in zeros.
class Pack {
  public:
    /// `path`: of what to pack, "" for the directory `dir` itself; `name`: what it is called in the archive.
    static Result<Pack> open(int dir, const std::string& path, const std::string& name);
    Pack(Pack&&) noexcept;
    Pack& operator=(Pack&&) noexcept;
    ~Pack();

    /// The next bytes, valid until the next call; empty at the end. An error leaves the archive unfinished.
    Result<std::string_view> next();
    [[nodiscard]] uint64_t left_out() const;
    /// Which came first, and why; "" for none.
    [[nodiscard]] const std::string& first_left_out() const;

  private:
    struct State;
    explicit Pack(std::unique_ptr<State> state);
    std::unique_ptr<State> state_;
};

}  // namespace hutch::archives
