// slabuf.h as a C++ program uses it: buffers with a destructor, and threads.

#include "check.h"
#include "slabuf.h"

#include <cstring>
#include <new>
#include <stdexcept>
#include <string>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

static_assert(std::is_trivially_copyable<slabuf_buffer>::value, "a buffer is given by value");
static_assert(sizeof(slabuf_buffer) == 40 && sizeof(slabuf_settings) == 72, "layout");
static_assert(sizeof(slabuf_pool_usage) == 104 && sizeof(slabuf_memory_usage) == 40, "layout");

namespace {

void must(slabuf_status status) {
    if (status == SLABUF_STATUS_OUT_OF_MEMORY || status == SLABUF_STATUS_LIMIT_EXCEEDED) {
        throw std::bad_alloc();
    } else if (status != SLABUF_STATUS_OK) {
        throw std::invalid_argument(slabuf_status_message(status));
    }
}

class Pool {
public:
    explicit Pool(std::size_t limit = SLABUF_NO_LIMIT) {
        slabuf_settings settings;
        must(slabuf_settings_init(&settings, sizeof settings));
        settings.limit = limit;
        must(slabuf_pool_create(&settings, sizeof settings, &pool_));
    }
    Pool(const Pool &) = delete;
    Pool &operator=(const Pool &) = delete;
    ~Pool() { EXPECT(OK, slabuf_pool_destroy(&pool_)); }

    const slabuf_pool *get() const { return pool_; }

    slabuf_pool_usage usage() const {
        slabuf_pool_usage usage;
        must(slabuf_pool_usage_get(pool_, &usage, sizeof usage));
        return usage;
    }

private:
    slabuf_pool *pool_ = nullptr;
};

class Buffer {
public:
    Buffer(const Pool &pool, std::size_t len) { must(slabuf_pool_alloc(pool.get(), len, &buffer_)); }
    Buffer(Buffer &&other) noexcept : buffer_(std::exchange(other.buffer_, slabuf_buffer{})) {}
    Buffer &operator=(Buffer &&other) noexcept {
        std::swap(buffer_, other.buffer_);
        return *this;
    }
    // A moved-from buffer is all zeros, which slabuf_free refuses without harm.
    ~Buffer() {
        bool live = buffer_.data != nullptr;
        CHECK(slabuf_free(&buffer_) == (live ? SLABUF_STATUS_OK : SLABUF_STATUS_NOT_A_BUFFER));
    }

    std::uint8_t *begin() { return buffer_.data; }
    std::uint8_t *end() { return buffer_.data + buffer_.len; }
    std::size_t size() const { return buffer_.len; }

private:
    slabuf_buffer buffer_{};
};

bool is_filled(Buffer &buffer, std::uint8_t byte) {
    for (std::uint8_t here : buffer) {
        if (here != byte) {
            return false;
        }
    }
    return true;
}

void destructors() {
    Pool pool;
    {
        std::vector<Buffer> buffers;
        for (std::size_t len = 1; len < 20000; len += 997) {
            buffers.emplace_back(pool, len);
            std::memset(buffers.back().begin(), 1, len);
        }
        Buffer moved = std::move(buffers.front());
        CHECK(buffers.front().size() == 0 && moved.size() == 1 && is_filled(moved, 1));
        buffers.front() = std::move(moved);
        for (Buffer &buffer : buffers) {
            CHECK(is_filled(buffer, 1));
        }
        CHECK(pool.usage().in_use > 0);
    }
    CHECK(pool.usage().in_use == 0);
}

void exceptions() {
    Pool pool(256 << 10);
    std::vector<Buffer> buffers;
    bool refused = false;
    try {
        for (;;) {
            buffers.emplace_back(pool, 5000);
        }
    } catch (const std::bad_alloc &) {
        refused = true;
    }
    CHECK(refused && !buffers.empty() && pool.usage().external <= 256 << 10);
    bool bad = false;
    try {
        Pool too_small(1);
    } catch (const std::invalid_argument &error) {
        bad = std::string(error.what()) == slabuf_status_message(SLABUF_STATUS_BAD_LIMIT);
    }
    CHECK(bad);
}

// Buffers that one thread allocates and another frees, while threads create and destroy pools.
void threads() {
    constexpr std::size_t COUNT = 500;
    Pool pool;
    std::vector<std::vector<Buffer>> made(4);
    std::vector<std::thread> makers;
    for (std::size_t t = 0; t < made.size(); t++) {
        makers.emplace_back([&pool, &mine = made[t], t] {
            for (std::size_t i = 0; i < COUNT; i++) {
                mine.emplace_back(pool, 1 + i * 37 % 12000);
                CHECK(is_filled(mine.back(), 0));
                std::memset(mine.back().begin(), static_cast<int>(t + 1), mine.back().size());
                if (i % 50 == 0) {
                    Pool own;
                    Buffer(own, 100);
                }
            }
        });
    }
    for (std::thread &maker : makers) {
        maker.join();
    }
    CHECK(pool.usage().in_use > 0);
    std::vector<std::thread> takers;
    for (std::size_t t = 0; t < made.size(); t++) {
        takers.emplace_back([taken = std::move(made[t]), t]() mutable {
            for (Buffer &buffer : taken) {
                CHECK(is_filled(buffer, static_cast<std::uint8_t>(t + 1)));
            }
            taken.clear();
        });
    }
    for (std::thread &taker : takers) {
        taker.join();
    }
    takers.clear();
    CHECK(pool.usage().in_use == 0);
    std::size_t given_back = 0;
    must(slabuf_pool_trim(pool.get(), &given_back));
    CHECK(given_back > 0 && pool.usage().external == 0);
}

}  // namespace

int main() {
    destructors();
    exceptions();
    threads();
    std::puts("C++: ok");
    return 0;
}
