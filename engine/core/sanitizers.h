#pragma once
// Is this a build whose memory is shadowed (-fsanitize=address, thread, memory)? Such a process maps far more
// than any limit allows, and a fork of it costs more.

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define IMPASTO_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer)
#define IMPASTO_SANITIZED 1
#endif
#endif
#ifndef IMPASTO_SANITIZED
#define IMPASTO_SANITIZED 0
#endif
