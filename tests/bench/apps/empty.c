/* empty.c: a C program that does nothing: what it takes to start one is the measure of starting
 * any. */
int main(void)
{
    return 0;
}
