/* A stand-in for NVIDIA's libnvidia-ml.so: answers from the scenario file that NVML_SCENARIO names, or from the file
 * `scenario` beside the library.
 *
 * The file has one item a line, `word key=value …`; blanks within a value are written as `_`:
 *   driver version=580.95.05 cuda=13000 init=0 count_error=999 hang=1
 *   gpu uuid=… name=… total=… used=… free=… util=… temp=… milliwatts=… mig=1 handle_error=15 error=15 no_processes=1
 *   mig uuid=… name=… total=… used=… free=… slot=0      (belongs to the gpu above)
 *   process pid=… memory=…  or  graphics …  or  mps …   (belongs to the gpu or mig above)
 * A key that is missing is a field that the card does not support.
 *
 * The file is read again whenever it changed (write a new one and rename it), so a test can change its mind.
 * `hang=1`: counting the cards does not return until the file says otherwise.
 * `process pid=… memory=… lingers=2`: a live process whose memory is added to `used`; it leaves 2 seconds after the
 * process was first seen dead (a zombie is dead). `unlisted=1`: meanwhile the memory is used by nobody listed. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

enum {
    SUCCESS = 0,
    INVALID_ARGUMENT = 2,
    NOT_SUPPORTED = 3,
    NOT_FOUND = 6,
    INSUFFICIENT_SIZE = 7,
    GPU_IS_LOST = 15,
    UNKNOWN = 999
};
enum { MAX_ITEMS = 256, LINE = 512, MAX_GPUS = 32, MIG_SLOTS = 7, MAX_DEAD = 256 };

typedef struct { unsigned version; unsigned long long total, reserved, free, used; } memory_v2;
typedef struct { unsigned gpu, memory; } utilization;
typedef struct { unsigned pid; unsigned long long memory; unsigned gpu_instance, compute_instance; } process;

/* What a handle points at: it outlives the lines of a scenario. */
typedef struct { int gpu, slot; } device_at;

static char items[MAX_ITEMS][LINE];
static int count;
static struct stat seen;
static device_at devices[MAX_GPUS][1 + MIG_SLOTS];
static struct { unsigned pid; struct timespec when; } dead[MAX_DEAD];
static int deaths;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static void leave(int *unused) {
    (void)unused;
    pthread_mutex_unlock(&lock);
}

/* One call at a time, with the newest scenario. */
#define ENTER \
    __attribute__((cleanup(leave))) int entered = pthread_mutex_lock(&lock); \
    (void)entered; \
    refresh()

static int refresh(void) {
    char beside[4096];
    const char *path = getenv("NVML_SCENARIO");
    Dl_info own;
    if (!path && dladdr((void *)&lock, &own)) {
        const char *slash = strrchr(own.dli_fname, '/');
        snprintf(beside, sizeof beside, "%.*sscenario", slash ? (int)(slash + 1 - own.dli_fname) : 0, own.dli_fname);
        path = beside;
    }
    struct stat now;
    if (!path || stat(path, &now)) return UNKNOWN;
    if (now.st_ino == seen.st_ino && now.st_size == seen.st_size && now.st_mtim.tv_sec == seen.st_mtim.tv_sec &&
        now.st_mtim.tv_nsec == seen.st_mtim.tv_nsec)
        return SUCCESS;
    FILE *file = fopen(path, "r");
    if (!file) return UNKNOWN;
    for (count = 0; count < MAX_ITEMS && fgets(items[count], LINE, file); count++)
        items[count][strcspn(items[count], "\n")] = '\0';
    fclose(file);
    seen = now;
    return SUCCESS;
}

static int is(const char *item, const char *word) {
    size_t length = strlen(word);
    return strncmp(item, word, length) == 0 && (item[length] == ' ' || item[length] == '\0');
}

/* The value of `key` in an item, or NULL. */
static const char *value(const char *item, const char *key) {
    static char found[LINE];
    char pattern[64];
    snprintf(pattern, sizeof pattern, " %s=", key);
    const char *start = strstr(item, pattern);
    if (!start) return NULL;
    start += strlen(pattern);
    size_t length = strcspn(start, " ");
    memcpy(found, start, length);
    found[length] = '\0';
    return found;
}

static int number(const char *item, const char *key, unsigned long long *out) {
    const char *text = value(item, key);
    if (!text) return NOT_SUPPORTED;
    *out = strtoull(text, NULL, 10);
    return SUCCESS;
}

static unsigned long long number_or(const char *item, const char *key, unsigned long long otherwise) {
    number(item, key, &otherwise);
    return otherwise;
}

static int text(const char *item, const char *key, char *out, unsigned size) {
    const char *found = value(item, key);
    if (!found) return NOT_SUPPORTED;
    if (strlen(found) >= size) return INSUFFICIENT_SIZE;
    strcpy(out, found);
    for (char *c = out; *c; c++)
        if (*c == '_') *c = ' ';
    return SUCCESS;
}

static const char *find(const char *word, unsigned index) {
    for (int i = 0; i < count; i++)
        if (is(items[i], word) && index-- == 0) return items[i];
    return NULL;
}

/* The line of a card or an instance as the scenario is now; NULL when it is gone. */
static const char *line(const device_at *handle) {
    const char *gpu = find("gpu", (unsigned)handle->gpu);
    if (!gpu || handle->slot < 0) return gpu;
    for (const char *item = gpu + LINE; item < items[count] && !is(item, "gpu"); item += LINE)
        if (is(item, "mig") && number_or(item, "slot", 0) == (unsigned)handle->slot) return item;
    return NULL;
}

static device_at *handle(unsigned gpu, int slot) {
    device_at *found = &devices[gpu][slot + 1];
    *found = (device_at){ (int)gpu, slot };
    return found;
}

/* Seconds since a process was first seen dead; -1 while it lives. A zombie's memory is given back, so it is dead. */
static double dead_for(unsigned pid) {
    char path[64], state = 'Z';
    snprintf(path, sizeof path, "/proc/%u/stat", pid);
    FILE *file = fopen(path, "r");
    if (file) {
        if (fscanf(file, "%*d (%*[^)]) %c", &state) != 1) state = 'Z';
        fclose(file);
    }
    if (state != 'Z' && state != 'X') return -1;
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    for (int i = 0; i < deaths; i++)
        if (dead[i].pid == pid)
            return (double)(now.tv_sec - dead[i].when.tv_sec) + (double)(now.tv_nsec - dead[i].when.tv_nsec) / 1e9;
    if (deaths < MAX_DEAD) {
        dead[deaths].pid = pid;
        dead[deaths++].when = now;
    }
    return 0;
}

/* Whether a process counts: those that linger leave some time after their death. */
static int holds(const char *item) {
    const char *lingers = value(item, "lingers");
    if (!lingers) return 1;
    double most = strtod(lingers, NULL);
    return dead_for((unsigned)number_or(item, "pid", 0)) < most;
}

static int listed(const char *item) {
    if (value(item, "unlisted") && dead_for((unsigned)number_or(item, "pid", 0)) >= 0) return 0;
    return holds(item);
}

/* Bytes of the processes whose memory comes on top of `used`. */
static unsigned long long lingering(const char *owner) {
    unsigned long long sum = 0;
    for (const char *item = owner + LINE; item < items[count] && !is(item, "gpu") && !is(item, "mig"); item += LINE)
        if (value(item, "lingers") && holds(item)) sum += number_or(item, "memory", 0);
    return sum;
}

/* Fails with the card's own error, where the scenario gives it one. */
#define ALIVE(handle) \
    ENTER; \
    const char *device = line(handle); \
    if (!device) return GPU_IS_LOST; \
    do { \
        int broken = (int)number_or(device, "error", SUCCESS); \
        if (broken) return broken; \
    } while (0)

int nvmlInitWithFlags(unsigned flags) {
    (void)flags;
    ENTER;
    if (!seen.st_ino) return UNKNOWN;
    const char *driver = find("driver", 0);
    return driver ? (int)number_or(driver, "init", SUCCESS) : SUCCESS;
}

int nvmlShutdown(void) { return SUCCESS; }

int nvmlSystemGetDriverVersion(char *out, unsigned size) {
    ENTER;
    const char *driver = find("driver", 0);
    return driver ? text(driver, "version", out, size) : NOT_SUPPORTED;
}

int nvmlSystemGetCudaDriverVersion_v2(int *out) {
    ENTER;
    const char *driver = find("driver", 0);
    unsigned long long version;
    if (!driver || number(driver, "cuda", &version)) return NOT_SUPPORTED;
    *out = (int)version;
    return SUCCESS;
}

static int hangs(void) {
    ENTER;
    const char *driver = find("driver", 0);
    return driver && value(driver, "hang");
}

int nvmlDeviceGetCount_v2(unsigned *out) {
    while (hangs()) nanosleep(&(struct timespec){ 0, 2000000 }, NULL);
    ENTER;
    const char *driver = find("driver", 0);
    int broken = driver ? (int)number_or(driver, "count_error", SUCCESS) : SUCCESS;
    if (broken) return broken;
    for (*out = 0; *out < MAX_GPUS && find("gpu", *out); ++*out) {}
    return SUCCESS;
}

int nvmlDeviceGetHandleByIndex_v2(unsigned index, device_at **out) {
    ENTER;
    const char *gpu = index < MAX_GPUS ? find("gpu", index) : NULL;
    if (!gpu) return INVALID_ARGUMENT;
    *out = handle(index, -1);
    return (int)number_or(gpu, "handle_error", SUCCESS);
}

int nvmlDeviceGetUUID(const device_at *of, char *out, unsigned size) {
    ALIVE(of);
    return text(device, "uuid", out, size);
}

int nvmlDeviceGetName(const device_at *of, char *out, unsigned size) {
    ALIVE(of);
    return text(device, "name", out, size);
}

int nvmlDeviceGetMemoryInfo_v2(const device_at *of, memory_v2 *out) {
    ALIVE(of);
    if (out->version != (sizeof *out | 2u << 24)) return INVALID_ARGUMENT;
    if (number(device, "total", &out->total)) return NOT_SUPPORTED;
    unsigned long long more = lingering(device), left = number_or(device, "free", 0);
    out->used = number_or(device, "used", 0) + more;
    out->free = left > more ? left - more : 0;
    out->reserved = out->total > out->used + out->free ? out->total - out->used - out->free : 0;
    return SUCCESS;
}

int nvmlDeviceGetUtilizationRates(const device_at *of, utilization *out) {
    ALIVE(of);
    unsigned long long percent;
    if (number(device, "util", &percent)) return NOT_SUPPORTED;
    *out = (utilization){ (unsigned)percent, 0 };
    return SUCCESS;
}

static int small(const device_at *of, const char *key, unsigned *out) {
    ALIVE(of);
    unsigned long long found;
    if (number(device, key, &found)) return NOT_SUPPORTED;
    *out = (unsigned)found;
    return SUCCESS;
}

int nvmlDeviceGetTemperature(const device_at *of, unsigned sensor, unsigned *out) {
    return sensor == 0 ? small(of, "temp", out) : INVALID_ARGUMENT;
}

int nvmlDeviceGetPowerUsage(const device_at *of, unsigned *out) { return small(of, "milliwatts", out); }

/* As NVML does it: the room on the way in, the number on the way out. */
static int processes(const device_at *of, const char *word, unsigned *room, process *out) {
    ALIVE(of);
    if (value(device, "no_processes")) return NOT_SUPPORTED;
    unsigned found = 0, given = *room;
    for (const char *item = device + LINE; item < items[count]; item += LINE) {
        if (is(item, "gpu") || is(item, "mig")) break;
        if (!is(item, word) || !listed(item)) continue;
        if (out && found < given)
            out[found] = (process){ (unsigned)number_or(item, "pid", 0), number_or(item, "memory", ~0ULL), ~0u, ~0u };
        found++;
    }
    *room = found;
    return found > given ? INSUFFICIENT_SIZE : SUCCESS;
}

int nvmlDeviceGetComputeRunningProcesses_v3(const device_at *of, unsigned *room, process *out) {
    return processes(of, "process", room, out);
}

int nvmlDeviceGetGraphicsRunningProcesses_v3(const device_at *of, unsigned *room, process *out) {
    return processes(of, "graphics", room, out);
}

int nvmlDeviceGetMPSComputeRunningProcesses_v3(const device_at *of, unsigned *room, process *out) {
    return processes(of, "mps", room, out);
}

int nvmlDeviceGetMigMode(const device_at *of, unsigned *current, unsigned *pending) {
    int outcome = small(of, "mig", current);
    *pending = *current;
    return outcome;
}

int nvmlDeviceGetMaxMigDeviceCount(const device_at *of, unsigned *out) {
    ALIVE(of);
    *out = MIG_SLOTS;
    return SUCCESS;
}

int nvmlDeviceGetMigDeviceHandleByIndex(const device_at *of, unsigned index, device_at **out) {
    ALIVE(of);
    if (index >= MIG_SLOTS || !line(&(device_at){ of->gpu, (int)index })) return NOT_FOUND;
    *out = handle((unsigned)of->gpu, (int)index);
    return SUCCESS;
}
