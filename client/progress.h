#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>

#include "client/source.h"

namespace hutch::client {

/// How far a copy is, on one line of standard error while it lasts; nothing where that is no terminal, and nothing of a
/// copy that is over at once.
class Progress {
  public:
    /// `total` bytes; 0: not known.
    Progress(std::string name, uint64_t total);
    Progress(const Progress&) = delete;
    Progress& operator=(const Progress&) = delete;
    Progress(Progress&&) = delete;
    Progress& operator=(Progress&&) = delete;
    ~Progress();  ///< takes the line away

    void add(uint64_t bytes);

  private:
    using Clock = std::chrono::steady_clock;
    std::string name_;
    uint64_t total_;
    uint64_t done_ = 0;
    bool terminal_;
    bool shown_ = false;
    Clock::time_point next_;
};

/// The same bytes, counted; the source holds on to the line.
BodySource counted(BodySource source, std::shared_ptr<Progress> progress);

}  // namespace hutch::client
