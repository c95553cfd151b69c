#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"

namespace hutch::archives {

/// A tar archive of files whose contents come piece by piece, written as they do: owned by root, mode 0644, of the
/// beginning of time, so that the same files give the same bytes.
class FileList {
  public:
    static Result<FileList> open();
    FileList(FileList&&) noexcept;
    FileList& operator=(FileList&&) noexcept;
    ~FileList();

    /// The next file, of so many bytes, which follow by write().
    Result<void> begin(const std::string& name, uint64_t size);
    Result<void> write(std::string_view bytes);
    /// A whole file.
    Result<void> add(const std::string& name, std::string_view content);
    Result<void> finish();
    /// What was written since the last call.
    std::string take();

  private:
    struct State;
    explicit FileList(std::unique_ptr<State> state);
    std::unique_ptr<State> state_;
};

}  // namespace hutch::archives
