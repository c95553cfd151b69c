#pragma once

#include <archive.h>
#include <archive_entry.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "overlayfs/tar.h"

namespace hutch::overlayfs {

/// Builds an archive in memory, hostile if told so.
class TarBuilder {
  public:
    explicit TarBuilder(int filter = ARCHIVE_FILTER_NONE) : writer_(archive_write_new()) {
        archive_write_set_format_pax(writer_.get());
        archive_write_add_filter(writer_.get(), filter);
        archive_write_set_bytes_in_last_block(writer_.get(), 1);  // no padding after the packed data
        archive_write_open(writer_.get(), &bytes_, nullptr, append, nullptr);
    }
    using Change = std::function<void(archive_entry*)>;
    TarBuilder& add(const std::string& name, mode_t type, const std::string& data, const Change& change = {}) {
        const std::unique_ptr<archive_entry, decltype([](archive_entry* e) { archive_entry_free(e); })> entry(
            archive_entry_new());
        archive_entry_set_pathname(entry.get(), name.c_str());
        archive_entry_set_filetype(entry.get(), type);
        archive_entry_set_perm(entry.get(), type == AE_IFDIR ? 0755 : 0644);
        archive_entry_set_size(entry.get(), static_cast<int64_t>(data.size()));
        if (change) change(entry.get());
        EXPECT_GE(archive_write_header(writer_.get(), entry.get()), ARCHIVE_WARN)
            << archive_error_string(writer_.get());
        if (!data.empty()) archive_write_data(writer_.get(), data.data(), data.size());
        return *this;
    }
    TarBuilder& file(const std::string& name, const std::string& data, const Change& change = {}) {
        return add(name, AE_IFREG, data, change);
    }
    TarBuilder& directory(const std::string& name, const Change& change = {}) {
        return add(name, AE_IFDIR, "", change);
    }
    TarBuilder& symlink(const std::string& name, const std::string& target) {
        return add(name, AE_IFLNK, "", [&](archive_entry* e) { archive_entry_set_symlink(e, target.c_str()); });
    }
    TarBuilder& hard_link(const std::string& name, const std::string& target) {
        return add(name, AE_IFREG, "", [&](archive_entry* e) { archive_entry_set_hardlink(e, target.c_str()); });
    }
    std::string bytes() {
        archive_write_close(writer_.get());
        return bytes_;
    }

  private:
    static la_ssize_t append(archive*, void* to, const void* data, size_t size) {
        static_cast<std::string*>(to)->append(static_cast<const char*>(data), size);
        return static_cast<la_ssize_t>(size);
    }
    std::string bytes_;
    std::unique_ptr<archive, decltype([](archive* a) { archive_write_free(a); })> writer_;
};

inline Pull pull_bytes(std::string bytes) {
    return [bytes = std::move(bytes), at = size_t{0}](char* buffer, size_t size) mutable -> Result<size_t> {
        const size_t n = std::min(size, bytes.size() - at);
        bytes.copy(buffer, n, at);
        at += n;
        return n;
    };
}

}  // namespace hutch::overlayfs
