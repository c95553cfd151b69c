#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"

namespace hutch::archives {

/// What of a tree is packed, and what is told of it.
struct PackRules {
    enum class Take {
        kYes,
        kNo,       ///< nor what is beneath it
        kBeneath,  ///< of a directory: what is in it is asked for, and itself left out
    };
    /// Asked for each entry by its name in the archive; none: all is packed.
    std::function<Take(const std::string& name)> take{};
    bool times = true;  ///< else all are 0, and the archives of equal trees are equal
};

/// A file or directory of this machine as a tar archive (pax), made as it is taken: content, modes, times, links as
/// links, further names as such, empty directories, holes as holes. Owners and attributes are left out; so are sockets,
/// FIFOs and devices, which are counted. A directory's entries come in the order of their names. No link is followed.
/// What goes while it is read is left out, what shrinks ends in zeros.
class Pack {
  public:
    /// `path`: of what to pack, "" for the directory `dir` itself; `name`: what it is called in the archive.
    static Result<Pack> open(int dir, const std::string& path, const std::string& name, PackRules rules = {});
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
