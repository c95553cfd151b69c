#include "archives/file_list.h"

#include <archive.h>
#include <archive_entry.h>

#include <utility>

#include "archives/given_up.h"
#include "archives/plain_locale.h"

namespace hutch::archives {

struct FileList::State {
    struct Free {
        void operator()(archive* a) const { free_writer(a); }
        void operator()(archive_entry* e) const { archive_entry_free(e); }
    };
    static la_ssize_t append(archive* /*unused*/, void* to, const void* data, size_t size) {
        static_cast<std::string*>(to)->append(static_cast<const char*>(data), size);
        return static_cast<la_ssize_t>(size);
    }
    [[nodiscard]] Error failure() const {
        const char* words = archive_error_string(writer.get());
        return {ErrorKind::kSystem, 0, "making an archive: " + std::string(words != nullptr ? words : "no memory")};
    }

    std::string out;
    std::unique_ptr<archive, Free> writer{archive_write_new()};
    std::unique_ptr<archive_entry, Free> entry{archive_entry_new()};
};

FileList::FileList(std::unique_ptr<State> state) : state_(std::move(state)) {}
FileList::FileList(FileList&&) noexcept = default;
FileList& FileList::operator=(FileList&&) noexcept = default;
FileList::~FileList() = default;

Result<FileList> FileList::open() {
    auto state = std::make_unique<State>();
    archive* writer = state->writer.get();
    if (writer == nullptr || !state->entry) return state->failure();
    if (archive_write_set_format_pax_restricted(writer) != ARCHIVE_OK ||
        archive_write_set_bytes_per_block(writer, 0) != ARCHIVE_OK ||  // at once
        archive_write_open(writer, &state->out, nullptr, State::append, nullptr) != ARCHIVE_OK) {
        return state->failure();
    }
    return FileList(std::move(state));
}

Result<void> FileList::begin(const std::string& name, uint64_t size) {
    const PlainLocale locale;
    archive_entry* entry = state_->entry.get();
    archive_entry_clear(entry);
    archive_entry_copy_pathname(entry, name.c_str());
    archive_entry_set_mode(entry, AE_IFREG | 0644);
    archive_entry_set_mtime(entry, 0, 0);
    archive_entry_set_size(entry, static_cast<int64_t>(size));
    if (archive_write_header(state_->writer.get(), entry) != ARCHIVE_OK) return state_->failure();
    return {};
}

Result<void> FileList::write(std::string_view bytes) {
    if (archive_write_data(state_->writer.get(), bytes.data(), bytes.size()) < 0) return state_->failure();
    return {};
}

Result<void> FileList::add(const std::string& name, std::string_view content) {
    TRY(begin(name, content.size()));
    return write(content);
}

Result<void> FileList::finish() {
    if (archive_write_close(state_->writer.get()) != ARCHIVE_OK) return state_->failure();
    return {};
}

std::string FileList::take() {
    return std::exchange(state_->out, {});
}

}  // namespace hutch::archives
