#pragma once

#include <utility>

namespace hutch {

/// Runs `undo` at the end of the scope unless committed. Armed on the line after the acquire.
template <typename F>
class [[nodiscard]] Undo {
  public:
    explicit Undo(F undo) : undo_(std::move(undo)) {}
    Undo(const Undo&) = delete;
    Undo& operator=(const Undo&) = delete;
    ~Undo() {
        if (armed_) undo_();
    }
    void commit() { armed_ = false; }

  private:
    F undo_;
    bool armed_ = true;
};

}  // namespace hutch
