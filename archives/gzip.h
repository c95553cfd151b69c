#pragma once

#include <functional>
#include <memory>
#include <string_view>

#include "base/result.h"

namespace hutch::archives {

/// Packs bytes by gzip (RFC 1952) as they come, without a name or a time: the same bytes give the same.
class Gzip {
  public:
    using Sink = std::function<Result<void>(std::string_view)>;
    /// `sink` takes what is packed; its error ends it.
    static Result<Gzip> open(Sink sink);
    Gzip(Gzip&&) noexcept;
    Gzip& operator=(Gzip&&) noexcept;
    ~Gzip();

    Result<void> add(std::string_view bytes);
    /// The end; once.
    Result<void> finish();

  private:
    struct State;
    explicit Gzip(std::unique_ptr<State> state);
    std::unique_ptr<State> state_;
};

}  // namespace hutch::archives
